"""Holds a table's log against the ledger, before every read and every write.

Belongs here: adopting commits that the ledger has not seen, refusing logs that went back or that
somebody else wrote to. Does not belong here: SQL (`ledger.py`), writing rows.

A writer says in the commit's user metadata what it did (`envelope`); a crash between the commit and
the ledger therefore loses nothing: whoever comes next adopts the commit from the log.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from de_stack import partitions
from de_stack.failures import PermanentFailure
from de_stack.flow.ledger import Touched
from de_stack.resources.lake_log import LogCleaned

if TYPE_CHECKING:
    from de_stack.flow.tables import Table
    from de_stack.resources.lake import Lake
    from de_stack.resources.lake_log import Commit

# Commits that change no rows: the table's making, compaction, clean-up.
MAINTENANCE = (
    "CREATE TABLE",
    "OPTIMIZE",
    "VACUUM START",
    "VACUUM END",
    "SET TBLPROPERTIES",
)

_FORMAT = 1
# Commits before the last known one that are looked at each time: small files, a fraction of a
# millisecond each on a disk.
_READ_AGAIN = 4
_INTERVAL = re.compile(r"interval '1 (hour|day|month)' \+ interval '[0-9]+ seconds'")
# What each kind of commit must say, so that the ledger can be written from the log alone.
_DETAILS = {
    "land": {"token", "run_id", "slice", "topic_id", "start", "end", "landed", "late_after"},
    "derive": {"token", "run_id", "source_version", "first", "last"},
    "load": {"token", "run_id", "load", "file", "sha256", "day", "rows", "bad", "hours"},
    "repair": {"token", "run_id", "lost"},
    "reparse": {"token", "run_id", "source_version", "first", "last", "hours"},
    "maintain": {"token", "run_id"},
    "remake": {"token", "run_id", "lost"},
    "stream": {"token", "run_id", "query", "batch_id"},
}


def envelope(kind: str, run_id: str, **details: Any) -> tuple[str, str]:
    """(token, user metadata) for a commit. The token proves later whose attempt the commit was."""
    token = uuid.uuid4().hex
    return token, json.dumps(
        {"de_stack": _FORMAT, "kind": kind, "token": token, "run_id": run_id, **details}
    )


class Entries(Protocol):
    """What `reconcile` needs of a ledger."""

    def last_commit(self, table_id: str) -> tuple[int, str | None]:
        """(newest version, its token)."""
        ...

    def adopt(
        self, table_id: str, commit: Commit, kind: str, rows: int | None, touched: list[Touched]
    ) -> None:
        """Enter one commit."""
        ...


def reconcile(lake: Lake, ledger: Entries, table: Table, *, anew: bool = False) -> int:
    """Adopt what the ledger has not seen; the newest version, -1 where there is no table yet.

    Args:
        lake: where the table is.
        ledger: what is known of it.
        table: the table.
        anew: every landing is adopted in this call, or counted again beside it: their rows are
            counted where they are now, so that what a reparse has moved is counted with them.

    Raises:
        PermanentFailure: the log is behind the ledger, differs from it, or has a foreign commit.
    """
    known, token = ledger.last_commit(table.table_id)
    newest = lake.version(table.uri)
    tried = f"hold the log of {table.table_id} against the ledger"
    if newest is None or newest < known:
        if known < 0:
            return -1
        raise PermanentFailure(
            tried,
            f"the ledger knows version {known}, the log at {table.uri} ends at {newest}: "
            "it was truncated, restored or moved",
            "bring the table back; or make it anew, if it was derived from another and is lost as "
            "a whole (`de-stack rebuild`); or start over with nothing: with another "
            "DE_STACK_NAMESPACE, or (systems of your own) after `de-stack down --purge`",
            page="table-lost" if newest is None else "log-went-back",
        )
    log = _read_log(lake, table, known, newest)
    # Somebody may have committed between the two looks: his rows are in his version, not in ours.
    newest = max([newest, *(commit.version for commit in log)])
    for commit in log:
        if commit.version < known:
            continue
        if commit.version == known:
            if (commit.metadata or {}).get("token") != token:
                raise PermanentFailure(
                    tried,
                    f"version {known} is not the commit that the ledger knows: "
                    "the table was replaced",
                    page="log-went-back",
                )
            continue
        count_at = newest if anew else _before_reparse(log, commit.version, newest)
        kind, rows, touched = _read(lake, table, commit, count_at, tried, anew=anew)
        ledger.adopt(table.table_id, commit, kind, rows, touched)
    return newest


def _read_log(lake: Lake, table: Table, known: int, newest: int) -> list[Commit]:
    """Some commits that are known and what came after them.

    The last known one is read again, for a log of the same length may still be another log, and a
    few before it: a power cut may leave the newest file whole and cut one that was written seconds
    earlier. In a table that has rested for a month, the next commit's checkpoint lets Delta delete
    their files; then it is the commits after them, all there and all ours, that speak for the log.
    """
    since = max(known - _READ_AGAIN, 0) - 1
    while True:
        try:
            return lake.commits_after(table.uri, since)
        except LogCleaned as cleaned:
            if cleaned.version > known or cleaned.version == known == newest:
                raise
            since = cleaned.version


def _before_reparse(log: list[Commit], landing: int, newest: int) -> int:
    """Where a landing's rows are to be counted: before a reparse that tells of them itself."""
    later = [
        commit.version - 1
        for commit in log
        if (commit.metadata or {}).get("kind") == "reparse"
        and (commit.metadata or {}).get("source_version", -1) >= landing
    ]
    return min(later, default=newest)


def _read(
    lake: Lake, table: Table, commit: Commit, count_at: int, tried: str, *, anew: bool
) -> tuple[str, int | None, list[Touched]]:
    details = commit.metadata
    if details is None:
        if commit.operation.upper() in MAINTENANCE:
            return "maintenance", None, []
        raise PermanentFailure(
            tried,
            f"version {commit.version} ({commit.operation}, {commit.committed_at.isoformat()}) "
            "was not written by de_stack",
            page="foreign-commit",
        )
    needed = _DETAILS.get(details.get("kind", ""))
    told = details.keys() | ({"late_after"} if "late_after_s" in details else set())
    if details["de_stack"] != _FORMAT or needed is None or not needed <= told:
        raise PermanentFailure(
            tried,
            f"version {commit.version} was written by another de_stack and is not understood: "
            f"{str(details)[:300]}",
            "use the release that wrote it",
            page="newer-release",
        )
    if details["kind"] == "maintain":
        return "maintenance", None, []
    if details["kind"] == "land":
        # At the newest version, where its rows are still: a vacuum takes older versions' files.
        rows, touched = landed(lake, table, count_at, details)
        if commit.rows is not None and rows != commit.rows:
            raise PermanentFailure(
                tried,
                f"slice {details['slice']} (version {commit.version}) wrote {commit.rows} rows, "
                f"version {count_at} has {rows} of them",
                page="ledger-disagrees",
            )
        return "land", rows, touched
    if details["kind"] == "load":
        # By how many rows event days changed; 0 where only what is derived from them does.
        return (
            "load",
            details["rows"],
            [Touched(datetime.fromisoformat(day), n) for day, n in details["hours"].items()],
        )
    if details["kind"] in ("repair", "remake", "stream"):
        # A continuous query's table is what it has given: nothing is derived from it by periods.
        return details["kind"], None, []
    first, last = (datetime.fromisoformat(details[k]) for k in ("first", "last"))
    if details["kind"] == "reparse":
        # Ingest hours first..last; the event hours that rows left or came to, with the difference.
        return (
            "reparse",
            None,
            [
                Touched(datetime.fromisoformat(hour), rows, late, first, last)
                for hour, (rows, late) in _moved(details, anew)
            ],
        )
    return (
        "derive",
        None,
        [Touched(p) for p in partitions.expand(first, last, table.grain)],
    )


def _moved(details: dict[str, Any], anew: bool) -> list[tuple[str, tuple[int, int]]]:
    return [(hour, (0, 0) if anew else (n, late)) for hour, (n, late) in details["hours"].items()]


def landed(
    lake: Lake, table: Table, version: int, details: dict[str, Any]
) -> tuple[int, list[Touched]]:
    """What a slice holds, read from its own rows: it is true whoever wrote them and whenever.

    Raises:
        PermanentFailure: a file of that version is gone.
        TransientFailure: the store did not answer.
    """
    late = f"broker_time > event_hour + {_late_after(details)}"
    found = lake.query(
        table.uri,
        "select event_hour, count(*) as rows, count(*) filter (where " + late + ") as late_rows, "
        "max(broker_time) filter (where " + late + ") as latest, "
        "min(ingest_hour) as ingest_first, max(ingest_hour) as ingest_last "
        f"from t where {slice_condition(details['topic_id'], details['start'], details['end'])} "
        "group by event_hour order by event_hour",
        version,
    ).to_pylist()
    touched = [
        Touched(
            utc(row["event_hour"]),
            row["rows"],
            row["late_rows"],
            utc(row["ingest_first"]),
            utc(row["ingest_last"]),
            _most_late_s(row, table.grain),
        )
        for row in found
        if row["event_hour"] is not None
    ]
    return sum(row["rows"] for row in found), touched


def _late_after(details: dict[str, Any]) -> str:
    text = details.get("late_after")
    # Older commits say it in seconds. The log is nobody's SQL.
    if isinstance(text, str) and _INTERVAL.fullmatch(text):
        return text
    return f"interval '{int(details['late_after_s'])} seconds'"


def _most_late_s(row: dict[str, Any], grain: str) -> int | None:
    if row["latest"] is None:
        return None
    end = partitions.after(utc(row["event_hour"]), grain)
    return int((utc(row["latest"]) - end).total_seconds())


def slice_condition(topic_id: str, start: Mapping[Any, int], end: Mapping[Any, int]) -> str:
    """SQL condition for the rows of a slice; statistics on two of the columns find its files.

    A topic that was made anew counts its offsets from 0 again, hence its id.
    """
    conditions = [
        f'(partition = {int(p)} and "offset" >= {int(start[p])} and "offset" < {int(end[p])})'
        for p in end
    ]
    quoted = topic_id.replace("'", "''")
    return f"topic_id = '{quoted}' and ({' or '.join(conditions)})"


def utc(moment: datetime) -> datetime:
    """An engine's time as an aware one: what has no zone is UTC in our tables."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
