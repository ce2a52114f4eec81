"""Bronze's typed columns from its raw bytes, with today's contract and without Kafka.

Belongs here: which rows come out otherwise, one Delta commit per ingest day. Does not belong here:
decoding (`decoding.py`), what a commit means to the ledger (`commits.py`).

The commit is a MERGE of the rows that changed, by position, and not a replacement of hours: rows
that land meanwhile are no part of it and stay, where a `replaceWhere` that was computed from an
older version deletes them without a conflict (seen: 5 rows left of 8). Topic, offset and raw bytes
are never written.

Letters that somebody has sent again stay as they are: they are counted by their replay. So nobody
sends any, nor reparses, while a reparse writes: it holds a lock. A lock may be lost, and the commit
of a killed reparse may come after it: a commit also fails as a whole where one row no longer says
what was read of it, since what it tells the ledger was counted from these rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from de_stack import partitions
from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.flow import commits
from de_stack.flow.bronze import bronze
from de_stack.flow.ledger import Ledger
from de_stack.flow.letter_ledger import LetterLedger
from de_stack.flow.tables import Table, ingest_periods, path, saying
from de_stack.flow.widen import columns_of, widen
from de_stack.flow.write_slice import bronze_rows
from de_stack.resources.lake import Lake
from de_stack.resources.spark import asking, open_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from de_stack.contracts import Stream
    from de_stack.settings import Settings

_DERIVED = ("event_id", "event_time", "event_hour", "error", "contract_version", "record")
# Its first word is Delta's for another writer that was first (`is_conflict`).
_CHANGED = "Concurrent change: a row no longer says what was read of it"


@dataclass(frozen=True)
class Reparsed:
    """One ingest day: rows read, rows that came out otherwise, letters mended, rows now refused.

    `hours` are the event hours that lost or got a row; `version` is None where nothing was written.
    """

    day: date
    rows: int
    changed: int
    mended: int
    refused: int
    hours: int
    version: int | None = None


def reparse(
    settings: Settings,
    stream: Stream,
    spark: Callable[[], SparkSession],
    run_id: str,
    first: datetime | None = None,
    last: datetime | None = None,
    dry_run: bool = False,
) -> Iterator[Reparsed]:
    """Decode what lies in bronze again, day by day; what was done of each day when it is done.

    Nobody else reparses, or sends letters again, until the last day is done.

    Args:
        settings: where everything is.
        stream: the contract as it is now.
        spark: gives the session.
        run_id: goes into the commits.
        first: first ingest hour; the table's first without it.
        last: last ingest hour, included; the table's last without it.
        dry_run: only count.

    Raises:
        PermanentFailure: nothing has landed yet, or log and ledger disagree.
        TransientFailure: somebody sends letters again or reparses, another writer changed the same
            rows, or a system was away.
    """
    table = bronze(settings, stream)
    if dry_run:
        yield from _days(settings, stream, table, spark, run_id, first, last, None)
        return
    with LetterLedger(settings, table.table_id).settling(run_id) as check:
        yield from _days(settings, stream, table, spark, run_id, first, last, check)


def _days(
    settings: Settings,
    stream: Stream,
    table: Table,
    spark: Callable[[], SparkSession],
    run_id: str,
    first: datetime | None,
    last: datetime | None,
    check: Callable[[], None] | None,
) -> Iterator[Reparsed]:
    """Day by day; only counted without `check`, which fails once somebody else may be writing."""
    lake, ledger = Lake(settings), Ledger(settings)
    version = commits.reconcile(lake, ledger, table)
    if version < 0:
        raise PermanentFailure(
            f"reparse {table.table_id}", "there is no table yet", "land first", page="no-table-yet"
        )
    sql = "select ingest_hour, topic, topic_id, count(*) as n from t group by 1, 2, 3"
    days: dict[date, list[dict[str, Any]]] = {}
    for row in lake.query(table.uri, sql, version).to_pylist():
        hour = commits.utc(row["ingest_hour"])
        if (first is None or hour >= first) and (last is None or hour <= last):
            row["ingest_hour"] = hour
            days.setdefault(hour.date(), []).append(row)
    if check is not None and widen(settings, spark, table, run_id):
        version = commits.reconcile(lake, ledger, table)
    for day, found in sorted(days.items()):
        hours = [row["ingest_hour"] for row in found]
        topics = {row["topic_id"]: row["topic"] for row in found}
        rows = sum(row["n"] for row in found)
        one = _Day(settings, stream, table, version, min(hours), max(hours), topics, rows)
        with asking(settings, f"reparse {table.table_id} of {day}"):
            done = one.run(open_session(settings, spark), run_id, check)
        yield done


@dataclass(frozen=True)
class _Day:
    settings: Settings
    stream: Stream
    table: Table
    version: int
    first: datetime
    last: datetime
    topics: dict[str, str]
    rows: int

    def run(self, session: SparkSession, run_id: str, check: Callable[[], None] | None) -> Reparsed:
        changed = self._changed(session).persist()
        try:
            hours, changes, mended, refused = self._counted(changed)
            outcome = (self.first.date(), self.rows, changes, mended, refused, len(hours))
            if check is None or not changes:
                return Reparsed(*outcome)
            check()
            return Reparsed(*outcome, self._write(session, changed, hours, run_id))
        finally:
            changed.unpersist()

    def _changed(self, session: SparkSession) -> DataFrame:
        """Rows that come out otherwise, as `new_*` beside what the table says, as `old_*`."""
        from pyspark.sql import functions as f

        where = ingest_periods(self.stream.grain, self.first, self.last)
        source = session.read.format("delta").option("versionAsOf", self.version)
        rows = source.load(self.table.uri).where(where)
        sent = LetterLedger(self.settings, self.table.table_id).replays()
        if sent:
            position = f.concat_ws(":", "topic_id", "partition", "offset")
            names = session.createDataFrame([(str(p),) for p in sent], "sent STRING")
            rows = rows.join(f.broadcast(names), position == f.col("sent"), "left_anti")
        keys = ["ingest_date", "topic_id", "partition", "offset"]
        old = rows.select(*keys, "broker_time", *(f.col(c).alias(f"old_{c}") for c in _DERIVED))
        new = None
        for topic_id, topic in self.topics.items():
            messages = rows.where(f.col("topic_id") == topic_id).select(
                *("partition", "offset", f.col("broker_time").alias("timestamp")),
                *("key", "headers", "value"),
            )
            part = bronze_rows(messages, self.stream, topic, topic_id)
            new = part if new is None else new.unionByName(part)
        assert new is not None  # noqa: S101 - a day without rows has no topic and is not asked for
        # In the table's order: a field that the contract gained stands last there.
        given, there = (
            [x.name for x in self.stream.fields],
            columns_of(Lake(self.settings), self.table),
        )
        order = {name: i for i, name in enumerate(there)}
        given.sort(key=lambda name: order.get(f"record.{name}", len(order)))
        record = f.struct(*(f.col(f"record.{name}") for name in given))
        new = new.withColumn("record", f.when(f.col("record").isNotNull(), record))
        new = new.select(*keys, *(f.col(c).alias(f"new_{c}") for c in _DERIVED))
        # As JSON, so that a field that the contract gained, and a row has not, is no difference.
        same = f.to_json("old_record").eqNullSafe(f.to_json("new_record"))
        for name in ("event_id", "event_time", "error"):
            same = same & f.col(f"old_{name}").eqNullSafe(f.col(f"new_{name}"))
        return old.join(new, keys).where(~same)

    def _counted(self, changed: DataFrame) -> tuple[dict[str, tuple[int, int]], int, int, int]:
        """(event hour -> rows and late rows more than before), changed, mended, refused rows."""
        from pyspark.sql import functions as f

        late_after = partitions.late_after(self.stream)
        hours: dict[str, tuple[int, int]] = {}
        for side, sign in (("old", -1), ("new", 1)):
            hour = f.col(f"{side}_event_hour")
            late = f.count_if(f.expr(f"broker_time > {side}_event_hour + {late_after}"))
            groups = changed.where(hour.isNotNull()).groupBy(f.unix_timestamp(hour).alias("hour"))
            for seconds, n, n_late in groups.agg(f.count("*"), late).collect():
                name = datetime.fromtimestamp(seconds, UTC).isoformat()
                rows, late_rows = hours.get(name, (0, 0))
                hours[name] = (rows + sign * n, late_rows + sign * n_late)
        was_bad, is_bad = f.col("old_error").isNotNull(), f.col("new_error").isNotNull()
        (row,) = changed.agg(
            f.count("*").alias("n"),
            f.count_if(was_bad & ~is_bad).alias("mended"),
            f.count_if(~was_bad & is_bad).alias("refused"),
        ).collect()
        return hours, row["n"], row["mended"], row["refused"]

    def _write(
        self,
        session: SparkSession,
        changed: DataFrame,
        hours: dict[str, tuple[int, int]],
        run_id: str,
    ) -> int:
        token, metadata = commits.envelope(
            "reparse",
            run_id,
            source_version=self.version,
            contract_version=self.stream.version,
            first=self.first.isoformat(),
            last=self.last.isoformat(),
            hours=hours,
        )
        _merge(session, self.table, changed, metadata)
        lake, ledger = Lake(self.settings), Ledger(self.settings)
        commits.reconcile(lake, ledger, self.table)
        version = ledger.token_version(self.table.table_id, token)
        if version is None:
            tried = f"reparse {self.table.table_id} of {self.first.date()}"
            raise TransientFailure(
                tried, "the log does not show the commit that Spark reported", page="another-writer"
            )
        return version


def _merge(session: SparkSession, table: Table, changed: DataFrame, metadata: str) -> None:
    sets = ", ".join(f"t.{c} = s.new_{c}" for c in _DERIVED)
    as_read = " AND ".join(f"t.{c} <=> s.old_{c}" for c in ("event_id", "event_time", "error"))
    keys = ("ingest_date", "topic_id", "partition", "offset")
    place = " AND ".join(f"t.`{c}` = s.`{c}`" for c in keys)
    with saying(session, metadata):
        session.sql(
            f"MERGE INTO delta.`{path(table.uri)}` t USING {{changed}} s "
            f"ON {place} WHEN MATCHED AND {as_read} THEN UPDATE SET {sets} "
            f"WHEN MATCHED THEN UPDATE SET t.error = raise_error('{_CHANGED}')",
            changed=changed,
        ).collect()
