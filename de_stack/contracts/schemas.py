"""A record's schema in other languages: Spark DDL, JSON Schema, catalogue columns.

Belongs here: translation of a `Stream`'s fields. Does not belong here: decoding, tables' own
columns.
"""

from __future__ import annotations

from typing import Any

from de_stack.contracts.model import Field, Stream

_SPARK = {
    "string": "string",
    "integer": "bigint",
    "number": "double",
    "boolean": "boolean",
    "timestamp": "timestamp",
    "date": "date",
}
_JSON: dict[str, dict[str, Any]] = {
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "timestamp": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
}


def spark_type(field: Field) -> str:
    """Spark SQL type of a field."""
    return _SPARK[field.type]


def spark_ddl(stream: Stream) -> str:
    """`source_id string, value double, ...`: the record's columns for Spark."""
    return ", ".join(f"`{f.name}` {spark_type(f)}" for f in stream.fields)


def catalogue_columns(stream: Stream) -> list[tuple[str, str, str]]:
    """(name, Spark type, description) per field, for column schemas in the UI."""
    return [
        (f.name, spark_type(f), f.description + (f" [{f.unit}]" if f.unit else ""))
        for f in stream.fields
    ]


def json_schema(stream: Stream) -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a message as it stands on the wire."""
    root: dict[str, Any] = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": stream.name,
        "description": stream.description,
        "type": "object",
        "properties": {},
        "required": [],
    }
    for field in stream.fields:
        node = root
        for part in field.path[:-1]:
            if field.required and part not in node["required"]:
                node["required"].append(part)
            node = node["properties"].setdefault(
                part, {"type": "object", "properties": {}, "required": []}
            )
        leaf = field.path[-1]
        node["properties"][leaf] = _leaf(field)
        if field.required:
            node["required"].append(leaf)
    return root


def _leaf(field: Field) -> dict[str, Any]:
    extra = {
        "description": field.description or None,
        "minimum": field.minimum,
        "maximum": field.maximum,
        "minLength": field.min_length,
        "maxLength": field.max_length,
        "pattern": field.pattern,
        "enum": list(field.allowed) or None,
    }
    return _JSON[field.type] | {k: v for k, v in extra.items() if v is not None}
