"""Every name of the project: (namespace, domain, layer, entity) to asset key, topic, path, table.

Belongs here: the grammar of names and nothing else. Does not belong here: addresses, settings,
clients. Nothing else in the project puts a name together; a test holds the grammar against the
asset graph.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

LAYERS = (
    "topic",
    "bronze",
    "silver",
    "scd",
    "gold",
    "stats",
    "features",
    "model",
    "predictions",
    "mart",
    "published",
    "dead",
    "maintained",
    "live",
)

# The common denominator of a Kafka topic part, a Postgres identifier and a folder name.
_WORD = re.compile(r"[a-z][a-z0-9_]{0,39}")
_COLUMN = re.compile(r"[a-z][a-z0-9_]{0,62}")

# With a domain of 40 it makes a Postgres schema, and Postgres cuts names off after 63 in silence.
_MOST_NAMESPACE = 22


def word(value: str, what: str) -> str:
    """Return `value` if it may be part of a name.

    Raises:
        ValueError: it is not lower-case ASCII letters, digits and `_`, starting with a letter, <=
        40.
    """
    if not _WORD.fullmatch(value):
        msg = f"{what} {value!r}: use a-z, 0-9 and _, starting with a letter, at most 40 characters"
        raise ValueError(msg)
    return value


def column(value: str) -> str:
    """Return `value` if it may be a column: a word, or longer by what was computed of it.

    Raises:
        ValueError: Postgres would cut it off after 63 characters, or it is no word.
    """
    if not _COLUMN.fullmatch(value):
        msg = f"column {value!r}: use a-z, 0-9 and _, starting with a letter, at most 63 characters"
        raise ValueError(msg)
    return value


def _layer(layer: str) -> str:
    if layer not in LAYERS:
        msg = f"layer {layer!r} is not one of {', '.join(LAYERS)}"
        raise ValueError(msg)
    return layer


def asset_name(layer: str, entity: str) -> str:
    """Second part of an asset key and the table's name: `silver_measures`."""
    return f"{_layer(layer)}_{word(entity, 'entity')}"


def asset_key(domain: str, layer: str, entity: str) -> list[str]:
    """Asset key as its parts, without a namespace: `["telemetry", "silver_measures"]`."""
    return [word(domain, "domain"), asset_name(layer, entity)]


def split_asset(name: str) -> tuple[str, str]:
    """(layer, entity) of the second part of an asset key.

    Raises:
        ValueError: not of the form `layer_entity`.
    """
    layer, _, entity = name.partition("_")
    return _layer(layer), word(entity, "entity")


def stream_name(domain: str, entity: str) -> str:
    """What people and URLs call a stream: `telemetry.measures`."""
    return f"{word(domain, 'domain')}.{word(entity, 'entity')}"


def split_stream(name: str) -> tuple[str, str]:
    """(domain, entity) of a stream's name.

    Raises:
        ValueError: not of the form `domain.entity`.
    """
    domain, dot, entity = name.partition(".")
    if not dot:
        msg = f"stream {name!r}: write it as domain.entity, e.g. telemetry.measures"
        raise ValueError(msg)
    return word(domain, "domain"), word(entity, "entity")


@dataclass(frozen=True)
class Names:
    """The names of one namespace; an empty namespace adds nothing."""

    namespace: str = ""

    def __post_init__(self) -> None:
        """Refuse a namespace that could not be part of every name."""
        if self.namespace:
            word(self.namespace, "namespace")
            if len(self.namespace) > _MOST_NAMESPACE:
                msg = f"namespace {self.namespace!r}: at most {_MOST_NAMESPACE} characters"
                raise ValueError(msg)

    def topic(self, domain: str, entity: str, version: int | None = None) -> str:
        """Kafka topic: `[ns.]telemetry.measures`, with a version `[ns.]stocks.ticks.v1`."""
        name = self._dotted(stream_name(domain, entity))
        return name if version is None else f"{name}.v{version}"

    def table_id(self, domain: str, layer: str, entity: str) -> str:
        """How the ledger and Delta's `txnAppId` call a table: `[ns.]telemetry.silver_measures`."""
        return self._dotted(".".join(asset_key(domain, layer, entity)))

    def lake_uri(self, lake: str, domain: str, layer: str, entity: str) -> str:
        """Delta table's place under the lake: `<lake>/[ns/]telemetry/silver_measures`."""
        parts = [lake.rstrip("/"), *([self.namespace] if self.namespace else [])]
        return "/".join([*parts, *asset_key(domain, layer, entity)])

    def query(self, domain: str, entity: str) -> str:
        """How Spark and the ledger call a continuous query: `[ns.]stocks.averages`."""
        return self._dotted(stream_name(domain, entity))

    def checkpoint_uri(self, root: str, domain: str, entity: str) -> str:
        """A continuous query's checkpoint: `<root>/[ns/]stocks/averages`."""
        parts = [root.rstrip("/"), *([self.namespace] if self.namespace else [])]
        return "/".join([*parts, word(domain, "domain"), word(entity, "entity")])

    def schema(self, domain: str) -> str:
        """Postgres (and DuckDB) schema of a domain: `[ns_]telemetry`."""
        name = word(domain, "domain")
        return f"{self.namespace}_{name}" if self.namespace else name

    def owns(self, table_id: str) -> bool:
        """True for a table id of this namespace: several may share one ledger."""
        try:
            domain, name = table_id.removeprefix(self._dotted("")).split(".")
            return table_id == self.table_id(domain, *split_asset(name))
        except ValueError:
            return False

    def _dotted(self, name: str) -> str:
        return f"{self.namespace}.{name}" if self.namespace else name
