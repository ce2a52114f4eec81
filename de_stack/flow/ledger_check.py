"""Does the ledger say what all tables and Postgres say.

Belongs here: every table of the namespace, and what Postgres holds. Changes nothing, enters
nothing. Does not belong here: one table (`table_check.py`), mending (`ledger_rebuild.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from de_stack.flow.inventory import Log, logs
from de_stack.flow.ledger_rebuild import published_versions
from de_stack.flow.table_check import (
    NO_TABLE,
    UNREADABLE,
    Checked,
    Entered,
    commits_differ,
    offsets_differ,
    one_state,
    rows_differ,
    used_differ,
)

if TYPE_CHECKING:
    from psycopg import Connection

    from de_stack.settings import Settings


def check(settings: Settings) -> list[Checked]:
    """Hold every table of the namespace, and what Postgres holds, against the ledger.

    Raises:
        TransientFailure: a system was away. Nothing is taken for right then.
    """
    with one_state(settings) as db:
        entered: dict[str, list[Entered]] = {}
        for table_id, *row in db.execute(
            "select table_id, version, kind, token, slice, rows, details from ledger.commits "
            "order by table_id, version"
        ).fetchall():
            if settings.names.owns(table_id):
                entered.setdefault(table_id, []).append(Entered(*row))
        found = {log.table.table_id: log for log in logs(settings)}
        checked = [
            _table(settings, db, name, found.get(name), entered.get(name, []))
            for name in sorted(found.keys() | entered.keys())
        ]
        newest = {one.name: one.ledger_version for one in checked}
        for one in checked:
            one.disagreements += used_differ(db, one.name, newest)
        return checked + _published(settings, db, published_versions(settings))


def _table(
    settings: Settings, db: Connection, name: str, log: Log | None, entered: list[Entered]
) -> Checked:
    last = entered[-1].version if entered else None
    if log is None:
        return Checked(name, None, last, [NO_TABLE])
    end = log.commits[-1].version if log.commits else None
    one = Checked(name, end, last)
    if log.broken:
        one.disagreements.append(f"{UNREADABLE}: {log.broken}")
        return one
    one.disagreements += commits_differ(log, entered)
    one.disagreements += offsets_differ(settings, name, [r for r in entered if r.kind == "land"])
    if last is not None and end is not None and last <= end:
        one.disagreements += rows_differ(settings, db, log, last)
    return one


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
