"""Changed files -> the assets that they may change.

Belongs here: which file is whose, read from the definitions, the imports of a domain and dbt's
manifest. Does not belong here: finding changed files (`cli.git`), running assets.

Fewer assets than all of a domain only where that is certain: a file in doubt reaches its whole
domain, and code that domains share reaches every domain.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import dagster as dg

from de_stack.orchestration.dbt import key_of
from de_stack.orchestration.imports import Imports
from de_stack.resources import dbt

_DEFS = "de_stack.defs"
# Nothing that an asset is made of imports these rooms; a test of the house holds it.
_NO_ASSET = {"cli": "a command line", "scaffold": "what writes new streams"}
_UPKEEP = "maintained_"
_SHARED, _NONE = "code that all domains share", "no asset is made of it"


@dataclass(frozen=True)
class Reach:
    """A file, the assets that its change reaches with all below them, and why these."""

    path: str
    assets: tuple[dg.AssetKey, ...]
    why: str


class Changes:
    """What a change of a file reaches, in one code location of one checkout."""

    def __init__(self, location: dg.Definitions, root: Path) -> None:
        self._graph = location.resolve_asset_graph()
        self._root = root
        self._ordered = [
            k for k in self._graph.toposorted_asset_keys if self._graph.get(k).is_materializable
        ]

    def reach(self, path: str) -> Reach:
        """The assets that a file of the checkout reaches, in the order of a run."""
        keys, why = self._found(PurePosixPath(path).parts)
        found = set(keys)
        return Reach(path, tuple(k for k in self._ordered if k in found), why)

    def union(self, reaches: Iterable[Reach]) -> list[dg.AssetKey]:
        """All assets that some files reach, in the order of a run."""
        found = {key for reach in reaches for key in reach.assets}
        return [k for k in self._ordered if k in found]

    def _found(self, parts: tuple[str, ...]) -> tuple[Iterable[dg.AssetKey], str]:
        match parts:
            case (*_, name) if name.endswith(".md"):
                return (), _NONE
            case ("de_stack", "defs", domain, _, *_):
                return self._of_domain(domain, parts)
            case ("de_stack", "defs", _):
                return self._of_house(parts)
            case ("de_stack", room, *_) if room in _NO_ASSET:
                return (), f"{_NO_ASSET[room]}: {_NONE}"
            case ("de_stack", *_):
                return self._ordered, _SHARED
            case ("dbt_project", *rest):
                return self._of_dbt(rest)
            case ("de_stack_tests", "domains", domain, name) if name.startswith("sample."):
                return self._domain(domain), "the domain's sample"
            case ("pyproject.toml",) | ("requirements", *_):
                return self._ordered, "versions of what all assets run on"
        return (), _NONE

    def _of_domain(self, domain: str, parts: tuple[str, ...]) -> tuple[Iterable[dg.AssetKey], str]:
        whole, path = self._domain(domain), self._root.joinpath(*parts)
        if not whole:
            is_there = (self._root / "de_stack" / "defs" / domain).is_dir()
            return (self._ordered, _SHARED) if is_there else ((), "the domain is gone")
        if path.suffix != ".py" or not path.exists():
            return whole, "its whole domain"
        module = ".".join((*parts[:-1], path.stem)).removesuffix(".__init__")
        package = f"{_DEFS}.{domain}"
        if module == package:
            return whole, "its whole domain"
        imports = Imports(self._root / "de_stack" / "defs" / domain, package)
        defined = {name: _defined(name) for name in imports.above(module)}
        # Upkeep takes a table's place from the module that makes it, not its rows.
        keys = {
            key
            for name, one in defined.items()
            for key in one.assets
            if name == module or not key.path[-1].startswith(_UPKEEP)
        }
        # Checks run with their assets: those that only look at reached assets add none.
        makers = {name for name, one in defined.items() if one.assets}
        checked = {k for name in imports.above(module, makers) for k in defined[name].checked}
        if keys or checked:
            return self._below(keys) | checked, "what it defines or serves, and what lies below"
        if defined[module].is_ticking:
            return (), "sensors and schedules: no asset is made of them"
        return whole, "its whole domain: nothing in it says who uses this file"

    def _of_house(self, parts: tuple[str, ...]) -> tuple[Iterable[dg.AssetKey], str]:
        path = self._root.joinpath(*parts)
        if path.suffix != ".py" or not path.exists() or path.stem == "__init__":
            return self._ordered, _SHARED
        own = _defined(".".join((*parts[:-1], path.stem)))
        if own.assets or not own.is_ticking:
            return self._below(own.assets or self._ordered), "what it defines, and what lies below"
        return (), "sensors and schedules: no asset is made of them"

    def _of_dbt(self, rest: list[str]) -> tuple[Iterable[dg.AssetKey], str]:
        graph = dbt.graph(self._root / "dbt_project")
        every = {m: key_of(model) for m, model in graph.models.items()}
        if found := graph.shown_of("/".join(rest)):
            return self._below(every[m] for m in found), "dbt's models, and what lies below"
        if rest[0] == "models" and len(rest) > 2:
            own = [key for key in every.values() if key.path[0] == rest[1]]
            return self._below(own), "all dbt models of the domain"
        return self._below(every.values()), "what all dbt models share"

    def _domain(self, domain: str) -> set[dg.AssetKey]:
        return self._below(k for k in self._graph.get_all_asset_keys() if k.path[0] == domain)

    def _below(self, keys: Iterable[dg.AssetKey]) -> set[dg.AssetKey]:
        found, left = set[dg.AssetKey](), list(keys)
        while left:
            key = left.pop()
            if key not in found:
                found.add(key)
                left += self._graph.get(key).child_keys
        return found


@dataclass(frozen=True)
class _Defined:
    """Assets of a module, assets that it checks, and whether it has sensors or schedules."""

    assets: set[dg.AssetKey]
    checked: set[dg.AssetKey]
    is_ticking: bool


def _defined(module: str) -> _Defined:
    """What the code location finds in a module, as it has imported it."""
    found = list(_flat(vars(importlib.import_module(module)).values()))
    made = [d for d in found if isinstance(d, dg.AssetsDefinition)]
    specs = {d.key for d in found if isinstance(d, dg.AssetSpec)}
    return _Defined(
        specs | {key for d in made for key in d.keys},
        {c.asset_key for d in made for c in d.check_keys if not d.keys},
        any(isinstance(d, dg.SensorDefinition | dg.ScheduleDefinition) for d in found),
    )


def _flat(values: Iterable[Any]) -> Iterator[Any]:
    for value in values:
        # A spec is a tuple, too.
        is_list = isinstance(value, list | tuple) and not isinstance(value, dg.AssetSpec)
        yield from value if is_list else (value,)
