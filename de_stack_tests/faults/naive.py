"""The ways that most pipelines move data, for showing that the fault tests notice them.

Belongs here: one short, honest naive way per mechanism. Does not belong here: tests; anything that
the product uses.

`pytest --naive de_stack_tests/faults` runs each fault test on the way that its mark names.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

_now: list[str] = []
WAYS: dict[str, Callable[[], Any]] = {}


def now() -> list[str]:
    """Names of the ways that are in force."""
    return list(_now)


@contextmanager
def applied(names: list[str]) -> Iterator[None]:
    """Put naive ways in force."""
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(WAYS[name]())
        _now.extend(names)
        try:
            yield
        finally:
            del _now[len(_now) - len(names) :]


def way(function: Callable[[], Iterator[None]]) -> Callable[[], Any]:
    """Enter a naive way under its function's name."""
    made = contextmanager(function)
    WAYS[function.__name__] = made
    return made


@way
def offsets_beside_the_rows() -> Iterator[None]:
    """Append, then remember the offsets elsewhere: at least once."""
    from pyspark.sql.connect.readwriter import DataFrameWriter

    from de_stack.flow import land
    from de_stack.flow.ledger import Landed, Ledger
    from de_stack.settings import Settings

    settings = Settings()
    place = settings.home / f"naive_{settings.namespace}.json"
    option, write = DataFrameWriter.option, land.write_slice

    def no_fence(self: Any, key: str, value: Any) -> Any:
        return self if key.startswith("txn") else option(self, key, value)

    def then_remember(*args: Any) -> None:
        write(*args)
        said = json.loads(args[-1])
        place.write_text(json.dumps({k: said[k] for k in ("slice", "topic_id", "landed")}))

    def remembered(_self: Ledger, _table: str) -> Landed | None:
        if not place.exists():
            return None
        known = json.loads(place.read_text())
        return Landed(
            known["slice"], known["topic_id"], {int(p): o for p, o in known["landed"].items()}
        )

    with (
        mock.patch.object(DataFrameWriter, "option", no_fence),
        mock.patch.object(land, "write_slice", then_remember),
        mock.patch.object(Ledger, "landed", remembered),
    ):
        yield


@way
def used_is_what_is_newest_now() -> Iterator[None]:
    """Tick an hour off when its run is done, whatever has landed in the meantime."""
    from de_stack.flow.ledger import Ledger

    adopt = Ledger.adopt

    def newest_now(self: Ledger, table_id: str, commit: Any, kind: str, *rest: Any) -> None:
        if kind == "derive":
            source = commit.metadata["source"]
            commit.metadata["source_version"] = self.last_commit(source)[0]
        adopt(self, table_id, commit, kind, *rest)

    with mock.patch.object(Ledger, "adopt", newest_now):
        yield


@way
def delete_then_append() -> Iterator[None]:
    """Replace hours in two commits, each right by itself."""
    from pyspark.sql.connect.readwriter import DataFrameWriter

    from de_stack.flow import commits

    option = DataFrameWriter.option

    def two_steps(self: Any, key: str, value: Any) -> Any:
        if key != "replaceWhere":
            return option(self, key, value)
        self.doomed = value
        return option(self.mode("append"), "mergeSchema", "false")

    save = DataFrameWriter.save

    def after_delete(self: Any, path: str, *args: Any, **options: Any) -> None:
        if doomed := getattr(self, "doomed", None):
            name = "spark.databricks.delta.commitInfo.userMetadata"
            self._spark.conf.set(name, commits.envelope("maintain", "naive")[1])
            self._spark.sql(f"delete from delta.`{path}` where {doomed}")
            self._spark.conf.unset(name)
            # The rows of a real hour take their time.
            time.sleep(3)
        save(self, path, *args, **options)

    with (
        mock.patch.object(DataFrameWriter, "option", two_steps),
        mock.patch.object(DataFrameWriter, "save", after_delete),
    ):
        yield


@way
def publish_step_by_step() -> Iterator[None]:
    """Delete, commit, insert in batches: what autocommit does."""
    from psycopg import sql

    from de_stack.flow import publish
    from de_stack.flow.serving import table_name

    def steps(connection: Any, table: Any, rows: Any, hours: Any) -> None:
        target, names = table_name(table), [name for name, _, _ in table.columns]
        connection.execute(
            sql.SQL("delete from {} where date_trunc({}, {}, 'UTC') = any(%s)").format(
                target, table.grain, sql.Identifier(table.time_column)
            ),
            (hours,),
        )
        connection.commit()
        into = sql.SQL("insert into {} ({}) values ({})").format(
            target,
            sql.SQL(", ").join(map(sql.Identifier, names)),
            sql.SQL(", ").join([sql.Placeholder()] * len(names)),
        )
        values = [tuple(row[name] for name in names) for row in rows.to_pylist()]
        for start in range(0, len(values), 20):
            connection.cursor().executemany(into, values[start : start + 20])
            connection.commit()

    with mock.patch.object(publish, "_replace", steps):
        yield


@way
def lenient_json() -> Iterator[None]:
    """Let Python's `json` decide what a message is, and take what the contract names from it."""
    from de_stack.contracts.columns import Columns, arrow_types
    from de_stack.flow import decoding

    def lenient(stream: Any) -> Callable[..., Columns]:
        def decode(values: Any, _received: Any) -> Columns:
            import json
            from datetime import datetime

            import pyarrow as pa

            records: list[Any] = []
            for value in values.to_pylist():
                try:
                    found = json.loads((value or b"").decode(errors="replace"))
                    records.append(
                        {
                            "source_id": str(found["source_id"]),
                            "metric": str(found["metric"]),
                            "value": float(found["value"]),
                            "measured_at": datetime.fromisoformat(found["measured_at"]),
                        }
                    )
                except Exception:  # noqa: BLE001 - that is the way
                    records.append(None)
            kinds = arrow_types()
            fields = [pa.field(f.name, kinds[f.type]) for f in stream.fields]
            times = [record and record["measured_at"] for record in records]
            errors = [None if record else "malformed" for record in records]
            return Columns(
                pa.array(records, pa.struct(fields)),
                pa.array(times, kinds["timestamp"]),
                pa.array(errors, pa.string()),
            )

        return decode

    with mock.patch.object(decoding, "columns_for", lenient):
        yield


@way
def only_the_newest_partition() -> Iterator[None]:
    """Ask for the newest partition that waits, as `AutomationCondition.eager()` does."""
    from de_stack.orchestration import ticks

    contiguous = ticks.partitions.contiguous

    def newest(starts: Any, grain: str, *_: Any) -> Any:
        return [(last, last) for _, last in contiguous(starts, grain)[-1:]]

    with mock.patch.object(ticks.partitions, "contiguous", newest):
        yield


@way
def begins_where_kafka_begins() -> Iterator[None]:
    """Go on from the first offset that there is: `auto.offset.reset=earliest`."""
    from de_stack.flow import slices

    with mock.patch.object(slices, "missing_ranges", return_value=[]):
        yield


@way
def ends_at_the_high_watermark() -> Iterator[None]:
    """Take what the broker has for what can be read."""
    from kafka import KafkaAdminClient

    ask = KafkaAdminClient.list_partition_offsets

    def uncommitted(self: Any, asked: Any, **_: Any) -> Any:
        return ask(self, asked)

    with mock.patch.object(KafkaAdminClient, "list_partition_offsets", uncommitted):
        yield


@way
def an_empty_commit_is_a_commit() -> Iterator[None]:
    """Pass over a commit that says nothing, as the engines do, and never look at one again."""
    from datetime import UTC, datetime

    from de_stack.failures import PermanentFailure
    from de_stack.flow import commits
    from de_stack.resources.lake_log import Commit, LakeLog

    read = LakeLog._commit

    def passed_over(files: Any, uri: str, version: int) -> Commit:
        try:
            return read(files, uri, version)
        except PermanentFailure:
            return Commit(version, "OPTIMIZE", datetime.now(UTC), None)

    def new_ones(lake: Any, table: Any, known: int, _newest: int) -> list[Commit]:
        return lake.commits_after(table.uri, known)

    with (
        mock.patch.object(LakeLog, "_commit", staticmethod(passed_over)),
        mock.patch.object(commits, "_read_log", new_ones),
    ):
        yield


@way
def names_are_identities() -> Iterator[None]:
    """Know a topic by its name, as consumer groups do."""
    from dataclasses import replace

    from de_stack.resources.kafka import Kafka

    ask = Kafka.topic_state

    def by_name(self: Kafka, topic: str, *rest: Any) -> Any:
        state = ask(self, topic, *rest)
        return state and replace(state, topic_id=topic)

    with mock.patch.object(Kafka, "topic_state", by_name):
        yield


@way
def partitions_stay_as_they_are() -> Iterator[None]:
    """Assign the partitions once."""
    from de_stack.flow import slices

    plan = slices.next_slice

    def assigned(landed: Any, begin: Any, end: Any, max_rows: int) -> Any:
        known = {p: last for p, last in end.items() if not landed or p in landed}
        return plan(landed, begin, known, max_rows)

    with mock.patch.object(slices, "next_slice", assigned):
        yield


@way
def only_hours_that_have_begun() -> Iterator[None]:
    """Ask for partitions that a scheduler has made already."""
    from datetime import UTC, datetime

    from de_stack.orchestration.ticks import Stage

    lagging = Stage.lagging

    def begun(self: Stage, *rest: Any) -> Any:
        now = datetime.now(UTC)
        return [lag for lag in lagging(self, *rest) if lag.event_hour <= now]

    with mock.patch.object(Stage, "lagging", begun):
        yield


@way
def the_broker_knows_the_limit() -> Iterator[None]:
    """Hand over whatever comes: how large a message may be is Kafka's affair."""
    from de_stack.sources.collector import check

    with mock.patch.object(check, "MAX_MESSAGE_BYTES", 2**40):
        yield


@way
def the_stamp_is_believed() -> Iterator[None]:
    """Take a message's timestamp for the time at which the broker got it."""
    from de_stack.flow import decoding

    def as_given(stamps: Any, *_: Any) -> Any:
        import pyarrow as pa

        return stamps.cast(pa.timestamp("us", tz="UTC"))

    with mock.patch.object(decoding, "_received", as_given):
        yield


@way
def sparks_error_is_passed_on() -> Iterator[None]:
    """Say what Spark says, whatever has happened."""
    import re

    from de_stack.resources import spark

    with mock.patch.object(spark, "_FULL", re.compile(r"(?!)")):
        yield


@way
def password_in_the_address() -> Iterator[None]:
    """Give each program the whole address, as most examples do."""
    from de_stack.local import dagster_home, secrets
    from de_stack.local.stack import site_of
    from de_stack.settings import Settings

    site = site_of(Settings().home)

    def whole(home: Any, port: int, role: str, database: str) -> str:
        return f"postgresql://{role}:{secrets.password(home, role)}@127.0.0.1:{port}/{database}"

    with mock.patch.object(secrets, "dsn", whole):
        dagster_home.prepare(site)
        yield
    dagster_home.prepare(site)


@way
def answer_before_kafka_has_it() -> Iterator[None]:
    """Say 202 when the producer has the events, and let it send them when it likes."""
    from de_stack.sources.collector.door import Door
    from de_stack.sources.collector.under_way import Parcel

    async def send(self: Any, topic: str, messages: Any, seconds: float) -> list[None]:
        parcel = Parcel(len(messages), lambda: None)
        if messages:
            until = time.monotonic() + seconds
            self._pool.submit(self._hand_over, topic, messages, parcel, until)
        return [None] * len(messages)

    with mock.patch.object(Door, "send", send):
        yield


@way
def every_batch_is_appended() -> Iterator[None]:
    """Append what a batch gives to the lake, as the first example of `foreachBatch` does."""
    from pyspark.sql.readwriter import DataFrameWriter

    option = DataFrameWriter.option

    def no_fence(self: Any, key: str, value: Any) -> Any:
        return self if key.startswith("txn") else option(self, key, value)

    with mock.patch.object(DataFrameWriter, "option", no_fence):
        yield


@way
def every_batch_is_inserted() -> Iterator[None]:
    """Insert what a batch gives into the table, as `write.jdbc` does."""
    from psycopg import sql

    from de_stack.flow.continuous import table_sink
    from de_stack.flow.serving import table_name

    def insert(db: Any, table: Any, rows: Any, *, is_all: bool) -> None:
        names = [name for name, _, _ in table.columns]
        into = sql.SQL("copy {} ({}) from stdin").format(
            table_name(table), sql.SQL(", ").join(map(sql.Identifier, names))
        )
        with db.cursor().copy(into) as stream:
            for row in rows.to_pylist():
                stream.write_row(list(row.values()))

    always = "select %s, %s, %s"
    with (
        mock.patch.object(table_sink, "_TAKE", always),
        mock.patch.object(table_sink, "_put", insert),
    ):
        yield


@way
def the_last_writer_wins() -> Iterator[None]:
    """Put rows in place by their key, whichever batch they are of."""
    from de_stack.flow.continuous import table_sink

    with mock.patch.object(table_sink, "_TAKE", "select %s, %s, %s"):
        yield


@way
def a_new_id_for_each_message() -> Iterator[None]:
    """Give each message an id when it is sent."""
    from pyspark.sql import functions as f

    from de_stack.flow.continuous import topic_sink

    joined = topic_sink._joined

    def made(rows: Any, names: tuple[str, ...]) -> Any:
        return joined(rows, names) if len(names) == 1 else f.uuid()

    with mock.patch.object(topic_sink, "_joined", made):
        yield


@way
def reads_on_from_the_end() -> Iterator[None]:
    """A query that begins with what comes from now on, as a consumer without a group does."""
    import uuid

    from pyspark.sql.streaming.readwriter import DataStreamReader

    from de_stack.flow.continuous import running

    option, place = DataStreamReader.option, running.checkpoint_of

    def latest(self: Any, key: str, value: Any) -> Any:
        return option(self, key, "latest" if key == "startingOffsets" else value)

    def of_this_start(*args: Any) -> Any:
        found = place(*args)
        found.uri += f"-{uuid.uuid4().hex}"
        return found

    with (
        mock.patch.object(DataStreamReader, "option", latest),
        mock.patch.object(running, "checkpoint_of", of_this_start),
    ):
        yield


@way
def loses_a_row_of_ten() -> Iterator[None]:
    """A query that passes over rows: what the check of parity is there for."""
    from de_stack.flow.continuous import running

    good_rows = running.good_rows

    def most(*args: Any) -> Any:
        return good_rows(*args).where("`offset` % 10 <> 3")

    with mock.patch.object(running, "good_rows", most):
        yield
