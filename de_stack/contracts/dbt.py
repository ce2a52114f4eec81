"""Contracts -> dbt: sources (what it may read, where, what must not be null) and sizes of windows.

Belongs here: writing `_sources.yml` and the variables that it and the models read. Does not belong
here: the places of tables, running dbt (`resources`).

A source is read with `delta_scan`, so through the table's log, at the version that a variable pins.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from de_stack.contracts.model import Field, Stream
from de_stack.naming import asset_name

SOURCES = "_sources.yml"
_TYPES = {
    "string": "varchar",
    "integer": "bigint",
    "number": "double",
    "boolean": "boolean",
    "timestamp": "timestamp with time zone",
    "date": "date",
}
_IDENTITY = (
    Field("event_id", (), "string", required=True, description="Identity of the event; unique."),
    Field("event_hour", (), "timestamp", required=True, description="Hour of the event time, UTC."),
)
_HEAD = "# Derived from the contracts by `de-stack setup`. Do not edit: change the contract.\n"


def variable(source: str, table: str) -> str:
    """Environment variable with a source's place; the same with `_VERSION` pins its version."""
    return f"DE_STACK_DBT_{source}_{table}".upper()


def windows(streams: Iterable[Stream]) -> dict[str, str]:
    """The variable with the windows of each stream that has some: name, length and slide in us."""
    us = timedelta(microseconds=1)
    sizes = {
        s.name: [
            {"name": w.name, "length": w.length // us, "slide": w.slide // us} for w in s.windows
        ]
        for s in streams
        if s.windows
    }
    return {"DE_STACK_DBT_WINDOWS": json.dumps(sizes)}


def write_sources(project_dir: Path, streams: Iterable[Stream]) -> list[Path]:
    """Write `models/<domain>/staging/_sources.yml` of every domain that has dbt models.

    A file whose content stays the same is not touched. Returns the paths of all of them.
    """
    domains: dict[str, list[Stream]] = {}
    for stream in streams:
        domains.setdefault(stream.domain, []).append(stream)
    paths = []
    for domain, members in sorted(domains.items()):
        folder = project_dir / "models" / domain
        if not folder.is_dir():
            continue
        path = folder / "staging" / SOURCES
        text = _HEAD + yaml.safe_dump(_sources(domain, members), sort_keys=False, width=1000)
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        paths.append(path)
    return paths


def _sources(domain: str, streams: list[Stream]) -> dict[str, Any]:
    tables = [_silver(s) for s in streams]
    tables += [
        _table(s, name, f"{name}, computed from {s.name}.") for s in streams for name in s.dbt_reads
    ]
    return {"version": 2, "sources": [{"name": domain, "tables": tables}]}


def _silver(stream: Stream) -> dict[str, Any]:
    name = asset_name("silver", stream.entity)
    columns = [_column(f) for f in (*_IDENTITY, *stream.fields)]
    return _table(stream, name, stream.description) | {"columns": columns}


def _table(stream: Stream, name: str, description: str) -> dict[str, Any]:
    place = variable(stream.domain, name)
    pinned = f"{place}_VERSION"
    version = (
        f"{{% if env_var('{pinned}', '') %}}, version := {{{{ env_var('{pinned}') }}}}{{% endif %}}"
    )
    return {
        "name": name,
        "description": description,
        "config": {
            "meta": {
                "external_location": f"delta_scan('{{{{ env_var('{place}', '') }}}}'{version})",
                "owners": [stream.owner, f"team:{stream.team}"],
                "dagster": {"asset_key": [stream.domain, name]},
            }
        },
    }


def _column(field: Field) -> dict[str, Any]:
    text = field.description + (f" Unit: {field.unit}." if field.unit else "")
    column: dict[str, Any] = {
        "name": field.name,
        "description": text,
        "data_type": _TYPES[field.type],
    }
    if field.classification:
        column["config"] = {"meta": {"classification": field.classification}}
    if field.required:
        column["data_tests"] = ["not_null"]
    return column
