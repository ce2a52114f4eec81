"""The ledger made anew from what the tables and Postgres say of themselves.

Belongs here: collecting, and replacing the ledger's entries in one transaction. Does not belong
here: reading a log (`commits.py`), whether the ledger is right (`ledger_check.py`).

A landing is counted where its rows are now, not where a later reparse has found them: what that one
has moved is in the counts then, and it only says which hours it touched.

Decisions stay: no table knows them. An hour that was found idle without a commit is pending again
where its source touched it; its next run finds nothing to do.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure
from de_stack.flow import commits
from de_stack.flow.entered import row_commits
from de_stack.flow.inventory import Log, logs
from de_stack.flow.ledger import APPLIED_FROM_LOG, COMMIT, TOUCH, Ledger, Touched, entry, touch
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from psycopg import Connection

    from de_stack.flow.tables import Table
    from de_stack.resources.lake_log import Commit
    from de_stack.settings import Settings


@dataclass(frozen=True)
class Rebuilt:
    """Commits and touched event hours of one table; applied hours of a consumer in Postgres."""

    table_id: str
    commits: int
    touched: int
    applied: int


@dataclass
class _Collected:
    """A ledger in memory. `start` is what stays: the log no longer reaches back before it."""

    start: tuple[int, str | None] = (-1, None)
    entries: list[tuple[Commit, str, int | None, list[Touched]]] = field(default_factory=list)
    recounted: list[tuple[int, list[Touched]]] = field(default_factory=list)

    def last_commit(self, table_id: str) -> tuple[int, str | None]:  # noqa: ARG002
        return self.start

    def adopt(
        self,
        table_id: str,  # noqa: ARG002
        commit: Commit,
        kind: str,
        rows: int | None,
        touched: list[Touched],
    ) -> None:
        self.entries.append((commit, kind, rows, touched))


def rebuild(settings: Settings) -> list[Rebuilt]:
    """Replace this namespace's entries, all or none; what was made of each table and consumer.

    Raises:
        PermanentFailure: a log is broken, begins after what the ledger knows, or is not there;
            nothing changed.
        TransientFailure: a system was away; nothing changed.
    """
    lake, collected = Lake(settings), {}
    found = logs(settings)
    _refuse_lost(settings, {log.table.table_id for log in found})
    for log in found:
        one = _Collected(_start(settings, log))
        version = commits.reconcile(lake, one, log.table, anew=True)
        one.recounted = _recounted(settings, lake, log.table, one.start[0], version)
        collected[log.table.table_id] = one
    with Postgres(settings, "ledger").transaction("rebuild the ledger", timeout_s=600) as db:
        db.execute("lock table ledger.commits, ledger.touched, ledger.applied in exclusive mode")
        sources = _clear(settings, db, collected)
        done = [_enter(db, table_id, one) for table_id, one in collected.items()]
        # Sources and users are all there now.
        lakes = [Rebuilt(r.table_id, r.commits, r.touched, _applied(db, r.table_id)) for r in done]
        return lakes + _published(settings, db, sources)


def _refuse_lost(settings: Settings, found: set[str]) -> None:
    """A table begun anew at version 0 would be one that its users have long used.

    None of them would see anything pending before it has as many versions as the lost one.
    """
    with Postgres(settings, "ledger").transaction("list what the ledger knows") as db:
        rows = db.execute("select distinct table_id from ledger.commits order by 1").fetchall()
    gone = [t for (t,) in rows if settings.names.owns(t) and t not in found]
    if gone:
        raise PermanentFailure(
            "rebuild the ledger",
            f"it knows {', '.join(gone)}, and no table is there",
            "bring the table back, or mount its disk; a derived one is made anew, with versions "
            "that go on, by `de-stack rebuild`",
            page="table-lost",
        )


def _start(settings: Settings, log: Log) -> tuple[int, str | None]:
    table_id, oldest = log.table.table_id, log.oldest
    if oldest == 0:
        return -1, None
    if log.commits and (log.commits[0].metadata or {}).get("kind") == "remake":
        # A new table whose numbers go on: it has no part in what was before.
        return oldest - 1, None
    token = Ledger(settings).token_of(table_id, oldest)
    if token is None:
        raise PermanentFailure(
            f"rebuild the ledger of {table_id}",
            f"its log begins at version {oldest}, and the ledger does not know what was before",
            "bring a copy of the ledger back: older commits were cleaned away",
            page="log-cleaned",
        )
    return oldest, token or None


def _recounted(
    settings: Settings, lake: Lake, table: Table, until: int, version: int
) -> list[tuple[int, list[Touched]]]:
    """(version, what it touched) of landings that the log no longer has; a reparse moved nothing.

    Nothing of a table whose log is whole.
    """
    found = []
    for known, kind, details in row_commits(settings, table.table_id, until):
        if kind == "land":
            found.append((known, commits.landed(lake, table, version, details)[1]))
        else:
            first, last = (datetime.fromisoformat(details[k]) for k in ("first", "last"))
            hours = [datetime.fromisoformat(hour) for hour in details["hours"]]
            found.append((known, [Touched(hour, 0, 0, first, last) for hour in hours]))
    return found


def _clear(
    settings: Settings, db: Connection, collected: dict[str, _Collected]
) -> dict[str, str | None]:
    """Delete what is made anew; source of each consumer as it was entered."""
    rows = db.execute("select consumer, max(source) from ledger.applied group by 1").fetchall()
    sources = {consumer: source for consumer, source in rows if settings.names.owns(consumer)}
    db.execute("delete from ledger.applied where consumer = any(%s)", (list(sources),))
    known = db.execute("select distinct table_id from ledger.commits").fetchall()
    for (table_id,) in known:
        # One that is not collected was made meanwhile, and entered by who made it.
        if table_id not in collected:
            continue
        kept = collected[table_id].start[0]
        for name in ("touched", "commits"):
            db.execute(
                f"delete from ledger.{name} where table_id = %s and version > %s".encode(),
                (table_id, kept),
            )
    return sources


def _enter(db: Connection, table_id: str, one: _Collected) -> Rebuilt:
    touched = [touch(table_id, c.version, t) for c, _, _, hours in one.entries for t in hours]
    touched += [touch(table_id, version, t) for version, hours in one.recounted for t in hours]
    again = [version for version, _ in one.recounted]
    db.execute(
        "delete from ledger.touched where table_id = %s and version = any(%s)", (table_id, again)
    )
    with db.cursor() as cursor:
        cursor.executemany(
            COMMIT, [entry(table_id, c, kind, rows) for c, kind, rows, _ in one.entries]
        )
        cursor.executemany(TOUCH, touched)
    return Rebuilt(table_id, len(one.entries), len(touched), 0)


def _applied(db: Connection, table_id: str) -> int:
    return db.execute(APPLIED_FROM_LOG, {"table": table_id, "hours": None}).rowcount


def _published(settings: Settings, db: Connection, sources: dict[str, str | None]) -> list[Rebuilt]:
    """Postgres says itself what it holds."""
    counted: dict[str, int] = {}
    rows: list[tuple[Any, ...]] = [
        row for row in published_versions(settings) if settings.names.owns(row[0])
    ]
    db.cursor().executemany(
        "insert into ledger.applied (consumer, event_hour, source_version, run_id, applied_at, "
        "source, first_applied_at) values (%s, %s, %s, %s, %s, %s, %s)",
        [(*row, sources.get(row[0]), row[4]) for row in rows],
    )
    for consumer, *_ in rows:
        counted[consumer] = counted.get(consumer, 0) + 1
    return [Rebuilt(consumer, 0, 0, n) for consumer, n in sorted(counted.items())]


def published_versions(settings: Settings) -> list[tuple[Any, ...]]:
    """(consumer, event hour, source version, run id, time) of all that Postgres holds."""
    with Postgres(settings, "serving").transaction("read what Postgres holds") as connection:
        if connection.execute("select to_regclass('de_stack.applied')").fetchone() == (None,):
            return []
        return connection.execute(
            "select consumer, event_hour, source_version, run_id, applied_at "
            "from de_stack.applied order by consumer, event_hour"
        ).fetchall()
