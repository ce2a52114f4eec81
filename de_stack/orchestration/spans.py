"""Which periods a run computes, as its tags say it.

Belongs here: Dagster's tags of partitions, and ours beside them. Does not belong here: which
periods wait (`ticks.py`), what a run does with them.

A run's partitions are one range without a hole. Dagster plans and tells each of them for each
asset: of 30 days of hours with one full hour a day that took 7 MB and a tick of 10 s. So a run may
compute periods beyond its partitions: those that nobody asked for by name, up to `UP_TO`. What is
found there is told when it is done (`assets.report_derived`).
"""

from collections.abc import Mapping
from datetime import datetime

from de_stack import partitions

_START, _END = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"
UP_TO = "de_stack/up_to"


def tags_for(first: datetime, head: datetime, last: datetime, grain: str) -> dict[str, str]:
    """Tags of a run whose partitions are first..head, and which computes up to `last`."""
    found = {_START: partitions.key(first, grain), _END: partitions.key(head, grain)}
    return found | ({UP_TO: partitions.key(last, grain)} if last > head else {})


def keys_of(tags: Mapping[str, str]) -> tuple[str, str] | None:
    """Partition keys of the first and the last period; None for a run without partitions."""
    one = tags.get("dagster/partition")
    first, last = tags.get(_START, one), tags.get(UP_TO) or tags.get(_END, one)
    return (first, last) if first and last else None


def periods_of(tags: Mapping[str, str], grain: str) -> tuple[datetime, datetime] | None:
    """First and last period; None for a run without partitions."""
    keys = keys_of(tags)
    return keys and (partitions.start(keys[0], grain), partitions.start(keys[1], grain))
