"""What a rebuild of event hours reads and replaces, and which hours there are to rebuild.

Belongs here: sizes and hours of one derived asset, by the names of its tables. Does not belong
here: which assets, the runs (`orchestration.rebuilding`), a lost table's new log (`remake.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from de_stack import partitions
from de_stack.failures import PermanentFailure
from de_stack.flow import commits
from de_stack.flow.derive import count
from de_stack.flow.ledger import Ledger
from de_stack.flow.remake import lost
from de_stack.resources.lake import Lake

if TYPE_CHECKING:
    from de_stack.flow.tables import Table
    from de_stack.settings import Settings


@dataclass(frozen=True)
class Extent:
    """Rows of some event hours in one table, and what the files that hold them weigh."""

    rows: int = 0
    files: int = 0
    bytes: int = 0


def extent(settings: Settings, table: Table, first: datetime, last: datetime) -> Extent:
    """Rows of the event hours first..last as they are now; nothing of a table that is not there.

    Raises:
        Failure: a system was away, or log and ledger disagree in another way.
    """
    if lost(settings, table.table_id, table.uri) is not None:
        return Extent()
    lake = Lake(settings)
    version = commits.reconcile(lake, Ledger(settings), table)
    if version < 0:
        return Extent()
    rows = count(lake, table, first, last, version)
    return Extent(rows, *lake.files_between(table.uri, version, "event_hour", first, last))


def spans(
    settings: Settings,
    tables: Iterable[Table],
    grain: str,
    first: datetime | None,
    last: datetime | None,
    most: int,
    held: Collection[datetime] = (),
) -> list[tuple[datetime, datetime]]:
    """Ranges of event hours that cover every hour of the tables between two times, but held ones.

    A range may have idle hours in it; it spans at most `most` periods, so that sparse hours need
    few runs and long ranges several.

    Raises:
        PermanentFailure: the end lies before the beginning.
        TransientFailure: the ledger was away.
    """
    if first and last and last < first:
        got = f"{last.isoformat()} lies before {first.isoformat()}"
        raise PermanentFailure("choose event hours", got, "--from first, --to last, UTC")
    ledger, hours = Ledger(settings), set[datetime]()
    for table in tables:
        hours |= set(ledger.touched_hours(table.table_id, first, last))
    return covered(hours, grain, most, held)


def covered(
    hours: Iterable[datetime], grain: str, most: int, without: Collection[datetime] = ()
) -> list[tuple[datetime, datetime]]:
    """As few ranges (first, last) as cover all hours but some, each of at most `most` periods."""
    ranges: list[tuple[datetime, datetime]] = []
    for hour in sorted(set(hours) - set(without)):
        between = ranges and any(ranges[-1][1] < other < hour for other in without)
        if ranges and not between and hour < partitions.after(ranges[-1][0], grain, most):
            ranges[-1] = (ranges[-1][0], hour)
        else:
            ranges.append((hour, hour))
    return ranges
