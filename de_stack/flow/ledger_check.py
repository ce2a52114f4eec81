"""Does the ledger say what the tables' logs, their rows and Postgres say.

Belongs here: comparing, and naming each disagreement. Changes nothing, enters nothing. Does not
belong here: refusing (`commits.py`), mending (`ledger_rebuild.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure
from de_stack.flow.commits import MAINTENANCE, utc
from de_stack.flow.decisions import Decisions
from de_stack.flow.inventory import Log, logs
from de_stack.flow.ledger_rebuild import published_versions
from de_stack.flow.slices import Missing
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from psycopg import Connection

    from de_stack.settings import Settings


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
class _Row:
    version: int
    kind: str
    token: str | None
    slice: int | None
    rows: int | None
    details: dict[str, Any]


def check(settings: Settings) -> list[Checked]:
    """Hold every table of the namespace, and what Postgres holds, against the ledger.

    Raises:
        TransientFailure: a system was away. Nothing is taken for right then.
    """
    with Postgres(settings, "ledger").transaction("check the ledger", timeout_s=600) as db:
        # One state of the ledger for all questions; logs and Postgres are read after it, and may
        # only be ahead.
        db.execute("set transaction isolation level repeatable read")
        entered: dict[str, list[_Row]] = {}
        for table_id, *row in db.execute(
            "select table_id, version, kind, token, slice, rows, details from ledger.commits "
            "order by table_id, version"
        ).fetchall():
            if settings.names.owns(table_id):
                entered.setdefault(table_id, []).append(_Row(*row))
        found = {log.table.table_id: log for log in logs(settings)}
        checked = [
            _table(settings, db, name, found.get(name), entered.get(name, []))
            for name in sorted(found.keys() | entered.keys())
        ]
        newest = {one.name: one.ledger_version for one in checked}
        for one in checked:
            one.disagreements += _used(db, one.name, newest)
        return checked + _published(settings, db, published_versions(settings))


def _table(
    settings: Settings, db: Connection, name: str, log: Log | None, entered: list[_Row]
) -> Checked:
    last = entered[-1].version if entered else None
    if log is None:
        return Checked(name, None, last, ["the ledger knows it, and no table is there"])
    end = log.commits[-1].version if log.commits else None
    one = Checked(name, end, last)
    if log.broken:
        one.disagreements.append(f"its log cannot be read: {log.broken}")
        return one
    one.disagreements += _commits(log, entered)
    one.disagreements += _offsets(settings, name, [r for r in entered if r.kind == "land"])
    if last is not None and end is not None and last <= end:
        one.disagreements += _rows(settings, db, log, last, entered)
    return one


def _commits(log: Log, entered: list[_Row]) -> list[str]:
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


def _offsets(settings: Settings, name: str, landed: list[_Row]) -> list[str]:
    """Slices follow each other; so do their offsets, but for what was accepted as lost."""
    wrong, decisions = [], Decisions(settings, name)
    before: dict[str, dict[str, int]] = {}
    for number, row in enumerate(sorted(landed, key=lambda r: r.slice or 0)):
        details, topic_id = row.details, row.details["topic_id"]
        if row.slice != number:
            wrong.append(f"version {row.version} is slice {row.slice}, expected {number}")
            break
        offsets = before.get(topic_id)
        if offsets is not None:
            for partition, start in details["start"].items():
                expected, where = offsets.get(partition, 0), f"partition {partition}"
                if start < expected:
                    wrong.append(f"slice {number}: {where} offsets {start}..{expected - 1} again")
                elif start > expected:
                    hole = Missing(int(partition), expected, start - 1)
                    wrong += [
                        f"slice {number}: {where} offsets {g.first}..{g.last} never landed"
                        for g in decisions.open_gaps(topic_id, [hole])
                    ]
        before[topic_id] = {**(offsets or {}), **details["landed"]}
    return wrong


def _rows(
    settings: Settings, db: Connection, log: Log, version: int, entered: list[_Row]
) -> list[str]:
    """Rows per event hour in the table, and in what its commits said they wrote."""
    lake, name = Lake(settings), log.table.table_id
    sql = "select event_hour, count(*) as n from t group by event_hour"
    try:
        counted = lake.query(log.table.uri, sql, version).to_pylist()
    except PermanentFailure as failure:
        return [f"its rows cannot be read: {failure.got}"]
    there = {utc(r["event_hour"]): r["n"] for r in counted if r["event_hour"] is not None}
    touched: dict[datetime, int | None] = dict(
        db.execute(
            "select event_hour, sum(rows)::bigint from ledger.touched "
            "where table_id = %s and version <= %s group by 1",
            (name, version),
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
    landed = [row.rows or 0 for row in entered if row.kind == "land"]
    total = sum(row["n"] for row in counted)
    if landed and sum(landed) != total:
        wrong.append(f"it holds {total} rows, its slices {sum(landed)}")
    return wrong


def _used(db: Connection, name: str, newest: dict[str, int | None]) -> list[str]:
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


def _published(settings: Settings, db: Connection, held: list[tuple[Any, ...]]) -> list[Checked]:
    """The ledger may lag behind Postgres, which a crash explains; never the other way round."""
    has = {(consumer, hour): version for consumer, hour, version, *_ in held}
    entered = db.execute(
        "select consumer, event_hour, source_version from ledger.applied "
        "where consumer like %s order by consumer, event_hour",
        (r"%.published\_%",),
    ).fetchall()
    names = {row[0] for row in entered} | {row[0] for row in held}
    checked = {name: Checked(name) for name in sorted(names) if settings.names.owns(name)}
    for consumer, hour, version in entered:
        there = has.get((consumer, hour))
        if consumer in checked and (there is None or there < version):
            checked[consumer].disagreements.append(
                f"{hour:%Y-%m-%d %H:%M}: the ledger says version {version}, Postgres has {there}"
            )
    return list(checked.values())
