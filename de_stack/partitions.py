"""INGEST and EVENT partitions of a stream, from its contract. UTC.

Belongs here: partition definitions and their keys. Does not belong here: which partitions are
pending (`flow.ledger`), assets.

They are two definitions on purpose, although they look alike: an ingest hour says when the broker
took a row, an event hour when the event happened. The open period is a partition too
(`end_offset=1`).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

    from de_stack.contracts import Dataset, Stream

_FORMAT = {"hour": "%Y-%m-%d-%H:%M", "day": "%Y-%m-%d", "month": "%Y-%m"}
_CRON = {"hour": "0 * * * *", "day": "0 0 * * *", "month": "0 0 1 * *"}
_LENGTH = {"hour": timedelta(hours=1), "day": timedelta(days=1)}
# Whose folder a period lies in: one period a folder would leave a file of a row or two in each of
# thousands of folders.
_FOLDER = {"hour": "day", "day": "month", "month": "year"}


def after(start: datetime, grain: str, periods: int = 1) -> datetime:
    """Start of the period that comes so many after the one that starts at `start`; or before it."""
    if grain != "month":
        return start + periods * _LENGTH[grain]
    months = 12 * start.year + start.month - 1 + periods
    return start.replace(year=months // 12, month=months % 12 + 1)


def interval(grain: str) -> str:
    """Length of a period, as SQL's interval has it; months differ."""
    return f"1 {grain}"


def reach(length: timedelta, grain: str) -> int:
    """How many periods before the one that a window ends in may hold rows of it, at most."""
    # No month is shorter than that.
    shortest = _LENGTH.get(grain, timedelta(days=28))
    return -(-length // shortest)


def late_after(stream: Stream) -> str:
    """SQL of what is added to a period's start until rows of it are late, for all our engines."""
    lateness = int(stream.allowed_lateness.total_seconds())
    # Two intervals: Spark takes none that has both months and seconds.
    return f"interval '{interval(stream.grain)}' + interval '{lateness} seconds'"


def floor(moment: datetime, grain: str) -> datetime:
    """Start of the partition that `moment` lies in."""
    moment = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    if grain == "hour":
        return moment
    return moment.replace(hour=0) if grain == "day" else moment.replace(hour=0, day=1)


def folder(moment: datetime, grain: str) -> date:
    """Date that names a period's folder in a table: the first day of its `folder_unit`."""
    day = moment.astimezone(UTC).date()
    if grain == "hour":
        return day
    return day.replace(day=1) if grain == "day" else day.replace(month=1, day=1)


def days(first: datetime, last: datetime, grain: str) -> tuple[date, date]:
    """First and last day of the periods that start at `first` .. `last`."""
    return first.date(), (after(last, grain) - timedelta(microseconds=1)).date()


def folder_unit(grain: str) -> str:
    """What a folder of a table by event period holds: a day, a month or a year."""
    return _FOLDER[grain]


def key(start: datetime, grain: str) -> str:
    """Partition key of the period that starts at `start`, as Dagster spells it."""
    return start.astimezone(UTC).strftime(_FORMAT[grain])


def start(partition_key: str, grain: str) -> datetime:
    """Start of the period that a partition key names."""
    return datetime.strptime(partition_key, _FORMAT[grain]).replace(tzinfo=UTC)


def grain_of(definition: dg.TimeWindowPartitionsDefinition) -> str:
    """The grain of a definition that was made here."""
    return next(grain for grain, form in _FORMAT.items() if form == definition.fmt)


def contiguous(
    starts: Iterable[datetime], grain: str, hole: int = 0, stops: Iterable[datetime] = ()
) -> list[tuple[datetime, datetime]]:
    """Ranges (first, last) of periods that follow each other without a hole, oldest first.

    A hole of at most `hole` periods is none, unless one of `stops` is in it.
    """
    ranges: list[tuple[datetime, datetime]] = []
    ends = sorted(stops)
    for start in sorted(set(starts)):
        before = ranges[-1][1] if ranges else None
        if (
            before is not None
            and start <= after(before, grain, hole + 1)
            and bisect_right(ends, before) == bisect_left(ends, start)
        ):
            ranges[-1] = (ranges[-1][0], start)
        else:
            ranges.append((start, start))
    return ranges


def expand(first: datetime, last: datetime, grain: str) -> list[datetime]:
    """Every period from `first` to `last`, both included."""
    found = []
    while first <= last:
        found.append(first)
        first = after(first, grain)
    return found


def _definition(stream: Dataset) -> dg.TimeWindowPartitionsDefinition:
    import dagster as dg

    return dg.TimeWindowPartitionsDefinition(
        start=stream.history_start,
        fmt=_FORMAT[stream.grain],
        cron_schedule=_CRON[stream.grain],
        timezone="UTC",
        end_offset=1,
    )


def ingest_partitions(stream: Dataset) -> dg.TimeWindowPartitionsDefinition:
    """One partition per period in which the broker took rows."""
    return _definition(stream)


def event_partitions(stream: Dataset) -> dg.TimeWindowPartitionsDefinition:
    """One partition per period in which events happened."""
    return _definition(stream)
