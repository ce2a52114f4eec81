"""INGEST and EVENT partitions of a stream, from its contract. UTC.

Belongs here: partition definitions and their keys. Does not belong here: which partitions are
pending (`flow.ledger`), assets.

They are two definitions on purpose, although they look alike: an ingest hour says when the broker
took a row, an event hour when the event happened. The open period is a partition too
(`end_offset=1`).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import dagster as dg

    from de_stack.contracts import Stream

_FORMAT = {"hour": "%Y-%m-%d-%H:%M", "day": "%Y-%m-%d"}
_STEP = {"hour": timedelta(hours=1), "day": timedelta(days=1)}


def step(grain: str) -> timedelta:
    """Length of one partition."""
    return _STEP[grain]


def floor(moment: datetime, grain: str) -> datetime:
    """Start of the partition that `moment` lies in."""
    moment = moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    return moment.replace(hour=0) if grain == "day" else moment


def folder(moment: datetime, grain: str) -> date:
    """Date that names a period's folder in a table: its day for hours, its month's first for days.

    One period a folder would leave a file of a row or two in each of thousands of folders.
    """
    day = moment.astimezone(UTC).date()
    return day.replace(day=1) if grain == "day" else day


def key(start: datetime, grain: str) -> str:
    """Partition key of the period that starts at `start`, as Dagster spells it."""
    return start.astimezone(UTC).strftime(_FORMAT[grain])


def start(partition_key: str, grain: str) -> datetime:
    """Start of the period that a partition key names."""
    return datetime.strptime(partition_key, _FORMAT[grain]).replace(tzinfo=UTC)


def contiguous(starts: Iterable[datetime], grain: str) -> list[tuple[datetime, datetime]]:
    """Ranges (first, last) of periods that follow each other without a hole, oldest first."""
    ranges: list[tuple[datetime, datetime]] = []
    for start in sorted(set(starts)):
        if ranges and ranges[-1][1] + _STEP[grain] == start:
            ranges[-1] = (ranges[-1][0], start)
        else:
            ranges.append((start, start))
    return ranges


def expand(first: datetime, last: datetime, grain: str) -> list[datetime]:
    """Every period from `first` to `last`, both included."""
    count = (last - first) // _STEP[grain] + 1
    return [first + i * _STEP[grain] for i in range(count)]


def _definition(stream: Stream) -> dg.TimeWindowPartitionsDefinition:
    import dagster as dg

    return dg.TimeWindowPartitionsDefinition(
        start=stream.history_start,
        fmt=_FORMAT[stream.grain],
        cron_schedule="0 * * * *" if stream.grain == "hour" else "0 0 * * *",
        timezone="UTC",
        end_offset=1,
    )


def ingest_partitions(stream: Stream) -> dg.TimeWindowPartitionsDefinition:
    """One partition per period in which the broker took rows."""
    return _definition(stream)


def event_partitions(stream: Stream) -> dg.TimeWindowPartitionsDefinition:
    """One partition per period in which events happened."""
    return _definition(stream)
