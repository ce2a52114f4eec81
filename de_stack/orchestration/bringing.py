"""From nothing to some assets: what is materialized before them, in which order, for which periods.

Belongs here: the order of runs by layers, periods that wait. Does not belong here: which assets are
wanted (`changes.py`), bringing rows in, starting runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import dagster as dg

from de_stack import naming, partitions
from de_stack.contracts import load_stream
from de_stack.flow.ledger import Ledger
from de_stack.flow.rebuilding import covered
from de_stack.settings import Settings

# A run takes at most so many periods, as the sensors' runs do: a month of hours.
_MAX_PERIODS = 31 * 24


@dataclass(frozen=True)
class Derived:
    """Assets of one domain that are materialized for the same event periods, in one run."""

    keys: tuple[dg.AssetKey, ...]
    grain: str


@dataclass(frozen=True)
class Plan:
    """What has to be materialized, in this order, once `domains` have rows from outside.

    `landed` is for the open ingest period, `derived` for event periods.
    """

    domains: tuple[str, ...]
    landed: tuple[dg.AssetKey, ...]
    derived: tuple[Derived, ...]
    whole: tuple[dg.AssetKey, ...]


class Bringing:
    """The way to some assets, in a namespace that has nothing yet."""

    def __init__(self, location: dg.Definitions) -> None:
        self._graph = location.resolve_asset_graph()

    def plan(self, wanted: Iterable[dg.AssetKey]) -> Plan:
        """Runs that make the wanted assets, and all that they read."""
        needed = dg.AssetSelection.assets(*wanted).upstream().resolve(self._graph)
        above = {parent for k in needed for parent in self._graph.get(k).parent_keys}
        made = [
            k
            for k in self._graph.toposorted_asset_keys
            if k in needed and self._graph.get(k).is_materializable
        ]
        landed = tuple(k for k in made if _layer(k) == "bronze")
        groups: dict[tuple[str, Any], list[dg.AssetKey]] = {}
        for key in made:
            if key not in landed and (by := self._graph.get(key).partitions_def):
                groups.setdefault((key.path[0], by), []).append(key)
        return Plan(
            tuple(sorted({k.path[0] for k in above if k in self._graph.external_asset_keys})),
            landed,
            tuple(Derived(tuple(ks), partitions.grain_of(by)) for (_, by), ks in groups.items()),
            # What has no periods reads what has some, never the other way round.
            tuple(k for k in made if self._graph.get(k).partitions_def is None),
        )

    def pending(self, settings: Settings, derived: Derived) -> list[tuple[datetime, datetime]]:
        """Ranges of event periods that the ledger has, and some of these assets have not used."""
        ledger, hours = Ledger(settings), set[datetime]()
        for key in derived.keys:
            for above in self._graph.get(key).parent_keys:
                consumer, source = (_table_id(settings, k) for k in (key, above))
                hours |= set(ledger.pending(consumer, source, grain=derived.grain))
        return covered(hours, derived.grain, _MAX_PERIODS)


def open_period(bronze: dg.AssetKey, now: datetime) -> str:
    """Partition key of the ingest period that is open now."""
    _, entity = naming.split_asset(bronze.path[1])
    grain = load_stream(naming.stream_name(bronze.path[0], entity)).grain
    return partitions.key(partitions.floor(now, grain), grain)


def selection(keys: Sequence[dg.AssetKey]) -> str:
    """Assets as `dagster asset materialize --select` takes them."""
    return " or ".join(f'key:"{key.to_user_string()}"' for key in keys)


def _layer(key: dg.AssetKey) -> str:
    return key.path[-1].partition("_")[0]


def _table_id(settings: Settings, key: dg.AssetKey) -> str:
    return settings.names.table_id(key.path[0], *naming.split_asset(key.path[1]))
