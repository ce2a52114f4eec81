"""What a dbt manifest says, as plain data: which models are tables, what they read, their tests.

Belongs here: manifest -> `Graph`. Does not belong here: Dagster, running dbt.

A model that is a view has no life of its own: what it reads, the tables that read it, read; what
tests it, tests them. The same holds for the tests of a source, so that a test is shown at a table
of ours (and running silver alone never starts dbt).

dagster-dbt does much of this, but its import loads dbt itself (1.5 s, more than Dagster's own), and
`load_from_defs_folder` imports it wherever it is installed: three times the budget of a location.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

_TABLES = {"table", "incremental"}
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_]")


@dataclass(frozen=True)
class Model:
    """A table. `through` are the views between it and what it reads; ids are dbt's unique ids."""

    unique_id: str
    domain: str
    name: str
    description: str
    columns: tuple[tuple[str, str, str], ...]  # name, type, description
    owners: tuple[str, ...]
    checksum: str
    parents: tuple[str, ...]
    sources: tuple[str, ...]
    through: tuple[str, ...]
    publish_key: tuple[str, ...]  # primary key of its copy in Postgres; empty without a copy


@dataclass(frozen=True)
class Source:
    """A table that dbt only reads: `key` is its asset key, `name` the same with a dot."""

    unique_id: str
    name: str
    key: tuple[str, ...]


@dataclass(frozen=True)
class Check:
    """A data test and the models at which it is shown."""

    unique_id: str
    name: str
    description: str
    models: tuple[str, ...]


class Graph:
    """The models, sources and checks of a manifest."""

    def __init__(self, manifest: dict[str, Any]) -> None:
        """Read dbt's `manifest.json`."""
        self._nodes: dict[str, Any] = {**manifest["nodes"], **manifest["sources"]}

    def selector(self, unique_id: str) -> str:
        """How `--select` calls a node."""
        node = self._nodes[unique_id]
        prefix = "source" if node["resource_type"] == "source" else "fqn"
        parts = (
            node["fqn"]
            if prefix == "fqn"
            else [node["package_name"], node["source_name"], node["name"]]
        )
        return f"{prefix}:{'.'.join(parts)}"

    @cached_property
    def models(self) -> dict[str, Model]:
        """Every table, by unique id."""
        return {uid: self._model(uid) for uid in sorted(self._nodes) if self._is_table(uid)}

    @cached_property
    def sources(self) -> dict[str, Source]:
        """Every source, by unique id."""
        found = {}
        for uid, node in sorted(self._nodes.items()):
            if node["resource_type"] == "source":
                key = node["config"]["meta"]["dagster"]["asset_key"]
                found[uid] = Source(uid, ".".join(key), tuple(key))
        return found

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """Every data test that tests something of ours."""
        found = []
        for uid, node in sorted(self._nodes.items()):
            if node["resource_type"] != "test":
                continue
            models = self._shown_at(self._tested(node))
            column = f"{node['column_name']}: " if node.get("column_name") else ""
            text = node.get("description") or column + node.get("test_metadata", {}).get(
                "name", "SQL"
            )
            found.append(Check(uid, _NOT_IN_NAMES.sub("_", node["name"]), text, models))
        return tuple(c for c in found if c.models)

    def shown_of(self, path: str) -> set[str]:
        """Tables at which a file of the project shows: its model, or what it says of some.

        Args:
            path: below the project's folder.
        """
        found = set[str]()
        for uid, node in self._nodes.items():
            # dbt writes `project://path` where a model's description stands.
            described = (node.get("patch_path") or "").split("://")[-1]
            if path in (node["original_file_path"], described):
                tested = self._tested(node) if node["resource_type"] == "test" else uid
                found |= set(self._shown_at(tested))
        return found

    def _is_table(self, uid: str) -> bool:
        node = self._nodes[uid]
        return node["resource_type"] == "model" and node["config"]["materialized"] in _TABLES

    def _model(self, uid: str) -> Model:
        node, above = self._nodes[uid], self._above(uid)
        sources = [u for u in above if self._nodes[u]["resource_type"] == "source"]
        metas = [self._nodes[u]["config"]["meta"] for u in [uid, *sources]]
        return Model(
            uid,
            node["fqn"][1],
            node["name"],
            node["description"].strip(),
            tuple(
                (c["name"], c.get("data_type") or "?", c["description"])
                for c in node["columns"].values()
            ),
            tuple(dict.fromkeys(owner for m in metas for owner in m.get("owners", ()))),
            node["checksum"]["checksum"],
            tuple(u for u in above if self._is_table(u)),
            tuple(sources),
            tuple(u for u in above if u not in sources and not self._is_table(u)),
            tuple(metas[0].get("publish", {}).get("key", ())),
        )

    def _tested(self, node: dict[str, Any]) -> str:
        return node.get("attached_node") or node["depends_on"]["nodes"][0]

    def _above(self, uid: str) -> list[str]:
        """What a node reads: tables and sources, and the views on the way to them."""
        found: dict[str, None] = {}
        for parent in self._nodes[uid].get("depends_on", {}).get("nodes", ()):
            found[parent] = None
            if not self._is_table(parent):
                found |= dict.fromkeys(self._above(parent))
        return sorted(found)

    def _shown_at(self, uid: str) -> tuple[str, ...]:
        if uid in self.models:
            return (uid,)
        return tuple(m.unique_id for m in self.models.values() if uid in (*m.sources, *m.through))
