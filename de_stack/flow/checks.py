"""Do the tables hold what the contract promises, and do they agree with each other.

Belongs here: counting what is wrong, at pinned versions, without Spark. Does not belong here:
Dagster's check results (`orchestration.checks`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from de_stack.contracts.checks import violations
from de_stack.flow import commits
from de_stack.flow.ledger import Ledger
from de_stack.flow.refine import silver
from de_stack.flow.tables import Table
from de_stack.resources.lake import Lake

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.settings import Settings

Range = tuple[datetime, datetime] | None


@dataclass(frozen=True)
class Difference:
    """An event hour in which two tables do not agree: rows of the source, count in the target."""

    event_hour: datetime
    source: int
    target: int


def broken_promises(settings: Settings, stream: Stream, hours: Range) -> tuple[int, dict[str, int]]:
    """(rows looked at, promise -> rows that break it) in silver; one event id twice counts too."""
    lake, table = Lake(settings), silver(settings, stream)
    version = commits.reconcile(lake, Ledger(settings), table)
    if version < 0:
        return 0, {}
    promises = violations(stream)
    counts = ", ".join(
        f"count(*) filter (where {condition}) as p{i}"
        for i, condition in enumerate(promises.values())
    )
    sql = (
        f"select count(*) as n, count(*) - count(distinct event_id) as twice, {counts} "
        f"from t where {within(hours)}"
    )
    (row,) = lake.query(table.uri, sql, version).to_pylist()
    # An id may stand in two hours (two versions of one event with other times), hence hour by hour.
    twice = 0
    if row["twice"]:
        inner = (
            f"select event_hour, event_id from t where {within(hours)} "
            "group by 1, 2 having count(*) > 1"
        )
        counted = lake.query(table.uri, f"select count(*) as n from ({inner})", version)
        twice = counted.to_pylist()[0]["n"]
    found = {name: row[f"p{i}"] for i, name in enumerate(promises)} | {"event_id is unique": twice}
    return row["n"], {name: count for name, count in found.items() if count}


def newest(settings: Settings, stream: Stream) -> tuple[datetime | None, int]:
    """(newest event time in silver, or None where there is no row; version), of one day's files."""
    lake, table = Lake(settings), silver(settings, stream)
    version = commits.reconcile(lake, Ledger(settings), table)
    if version < 0:
        return None, version
    day = lake.newest_partition(table.uri, table.partitioned_by, version)
    if day is None:
        return None, version
    sql = (
        f'select max("{stream.event_time}") as newest from t '
        f"where {table.partitioned_by} = date '{day:%Y-%m-%d}'"
    )
    (row,) = lake.query(table.uri, sql, version).to_pylist()
    return commits.utc(row["newest"]) if row["newest"] else None, version


def differences(
    settings: Settings, source: Table, target: Table, sum_of: str, hours: Range
) -> tuple[int, list[Difference]]:
    """(hours compared, those in which the source's rows are not the sum of a target's column).

    Hours that are pending, because the source has moved on since, are not compared.
    """
    lake, ledger = Lake(settings), Ledger(settings)
    of_source, of_target = (commits.reconcile(lake, ledger, t) for t in (source, target))
    if min(of_source, of_target) < 0:
        return 0, []
    where = within(hours)
    left = per_hour(lake, source, of_source, "count(*)", where)
    right = per_hour(lake, target, of_target, f'sum("{sum_of}")', where)
    # What was pending between these two versions, not what is now: both may have moved on since.
    behind = set(ledger.behind(target.table_id, of_target, source.table_id, of_source))
    compared = sorted((left.keys() | right.keys()) - behind)
    return len(compared), [
        Difference(hour, left.get(hour, 0), right.get(hour, 0))
        for hour in compared
        if left.get(hour, 0) != right.get(hour, 0)
    ]


def per_hour(lake: Lake, table: Table, version: int, what: str, where: str) -> dict[datetime, int]:
    """One number for each event hour, by a SQL aggregate."""
    sql = f"select event_hour, {what} as n from t where {where} group by event_hour"
    rows = lake.query(table.uri, sql, version).to_pylist()
    return {commits.utc(r["event_hour"]): int(r["n"]) for r in rows}


def within(hours: Range) -> str:
    """SQL condition: event hours from first to last."""
    if hours is None:
        return "true"
    low, high = (f"to_timestamp('{hour:%Y-%m-%dT%H:%M:%SZ}')" for hour in hours)
    return f"event_hour >= {low} and event_hour <= {high}"
