"""Does the ledger say what one table's log and rows say.

Belongs here: comparing, and naming each disagreement. Changes nothing, enters nothing. Does not
belong here: which tables there are, Postgres (`ledger_check.py`), refusing (`commits.py`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure
from de_stack.flow.checks import Range, within
from de_stack.flow.commits import MAINTENANCE, utc
from de_stack.flow.decisions import Decisions
from de_stack.flow.inventory import Log, log_of
from de_stack.flow.slice_chain import Link, broken_links
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from psycopg import Connection

    from de_stack.flow.tables import Table
    from de_stack.settings import Settings

NO_TABLE = "the ledger knows it, and no table is there"
UNREADABLE = "its log cannot be read"
# A check after each run need not look at what the one before has seen.
_NEWEST = 200


@dataclass
class Checked:
    """One table or consumer: newest version in its log, in the ledger, and what disagrees.

    A log that is ahead is no disagreement: whoever reads or writes next enters its commits.
    """

    name: str
    log_version: int | None = None
    ledger_version: int | None = None
    disagreements: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Entered:
    """One commit as the ledger has it."""

    version: int
    kind: str
    token: str | None
    slice: int | None
    rows: int | None
    details: dict[str, Any]


def check_table(
    settings: Settings, table: Table, hours: Range = None, newest: int = _NEWEST
) -> Checked:
    """Hold one table against the ledger: its newest commits, and its rows by event hour.

    Offsets are not looked at. Seen on two cores: the hours of 8 M rows in 8 files take 0.1 s.

    Args:
        settings: where the ledger is.
        table: the table.
        hours: first and last event hour whose rows are counted; the whole table without it.
        newest: how many of its commits are held against the ledger's.

    Raises:
        TransientFailure: a system was away.
    """
    with one_state(settings) as db:
        ends = dict(
            db.execute("select table_id, max(version) from ledger.commits group by 1").fetchall()
        )
        last = ends.get(table.table_id, -1)
        rows = db.execute(
            "select version, kind, token, slice, rows, details from ledger.commits "
            "where table_id = %s and version > %s order by version",
            (table.table_id, last - newest),
        ).fetchall()
        entered, log = [Entered(*row) for row in rows], log_of(settings, table, last - newest)
        if log is None:
            one = Checked(table.table_id, None, last if rows else None)
            if rows:
                one.disagreements.append(NO_TABLE)
            return one
        one = Checked(table.table_id, log.commits[-1].version if log.commits else None, last)
        if log.broken:
            one.disagreements.append(f"{UNREADABLE}: {log.broken}")
            return one
        one.disagreements += commits_differ(log, entered)
        if 0 <= last <= (one.log_version or 0):
            one.disagreements += rows_differ(settings, db, log, last, hours)
        one.disagreements += used_differ(db, table.table_id, ends)
    return one


@contextmanager
def one_state(settings: Settings) -> Iterator[Connection]:
    """One state of the ledger for all questions; what is read after it may only be ahead."""
    with Postgres(settings, "ledger").transaction("check the ledger", timeout_s=600) as db:
        db.execute("set transaction isolation level repeatable read")
        yield db


def commits_differ(log: Log, entered: list[Entered]) -> list[str]:
    """Each commit is the one that was entered, and says what was entered."""
    known, wrong = {row.version: row for row in entered}, []
    last, end = max(known, default=-1), log.commits[-1].version if log.commits else -1
    if last > end:
        wrong.append(f"the ledger knows version {last}, the log ends at {end}")
    for commit in log.commits:
        row, said = known.get(commit.version), commit.metadata or {}
        version = f"version {commit.version}"
        if commit.metadata is None and commit.operation.upper() not in MAINTENANCE:
            wrong.append(f"{version} ({commit.operation}) was not written by de_stack")
        elif row is None:
            if commit.version < last:
                wrong.append(f"{version} is in the log and not in the ledger")
        elif row.token != said.get("token"):
            wrong.append(f"{version} is another commit than the ledger's")
        elif (row.details, row.slice) != (said, said.get("slice")):
            wrong.append(f"{version} says other things than the ledger")
    return wrong


def offsets_differ(settings: Settings, name: str, landed: list[Entered]) -> list[str]:
    """Slices follow each other; so do their offsets, but for what was accepted as lost."""
    links = [Link.of(row.slice, row.details) for row in landed]
    links.sort(key=lambda link: link.slice)
    return list(broken_links(links, *Decisions(settings, name).of_landing()))


def rows_differ(
    settings: Settings, db: Connection, log: Log, version: int, hours: Range = None
) -> list[str]:
    """Rows per event hour in the table, and in what its commits said they wrote."""
    lake, name = Lake(settings), log.table.table_id
    where = f"where {within(hours)} " if hours else ""
    sql = f"select event_hour, count(*) as n from t {where}group by event_hour"
    try:
        counted = lake.query(log.table.uri, sql, version).to_pylist()
    except PermanentFailure as failure:
        return [f"its rows cannot be read: {failure.got}"]
    there = {utc(r["event_hour"]): r["n"] for r in counted if r["event_hour"] is not None}
    first, last = hours or (None, None)
    touched: dict[datetime, int | None] = dict(
        db.execute(
            "select event_hour, sum(rows)::bigint from ledger.touched "
            "where table_id = %s and version <= %s and (%s::timestamptz is null "
            "or event_hour between %s::timestamptz and %s::timestamptz) group by 1",
            (name, version, first, first, last),
        ).fetchall()
    )
    wrong = [
        f"{hour:%Y-%m-%d %H:%M} holds {there.get(hour, 0)} rows, the ledger says {rows}"
        for hour, rows in sorted(touched.items())
        if rows is not None and rows != there.get(hour, 0)
    ]
    wrong += [
        f"{hour:%Y-%m-%d %H:%M} holds {there[hour]} rows, and no commit touched it"
        for hour in sorted(there.keys() - touched.keys())
    ]
    landed = db.execute(
        "select sum(rows)::bigint from ledger.commits "
        "where table_id = %s and version <= %s and kind = 'land'",
        (name, version),
    ).fetchone()
    total = sum(row["n"] for row in counted)
    if hours is None and landed and landed[0] is not None and landed[0] != total:
        wrong.append(f"it holds {total} rows, its slices {landed[0]}")
    return wrong


def used_differ(db: Connection, name: str, newest: Mapping[str, int | None]) -> list[str]:
    """What a table has used, against its commits and the end of its source."""
    rows = db.execute(
        "with said as (select distinct on (t.event_hour) t.event_hour, "
        "(c.details->>'source_version')::bigint as version from ledger.touched t "
        "join ledger.commits c using (table_id, version) "
        "where t.table_id = %s and c.kind = 'derive' order by t.event_hour, t.version desc) "
        "select event_hour, s.version, a.source_version, a.source from said s "
        "full join (select * from ledger.applied where consumer = %s) a using (event_hour) "
        "order by event_hour",
        (name, name),
    ).fetchall()
    wrong = []
    for hour, said, used, source in rows:
        where = f"{hour:%Y-%m-%d %H:%M}"
        if said is not None and (used is None or used < said):
            wrong.append(f"{where}: its commits used version {said}, the ledger says {used}")
        end = newest.get(source)
        if used is not None and end is not None and used > end:
            wrong.append(f"{where}: version {used} of {source} was used, which ends at {end}")
    return wrong
