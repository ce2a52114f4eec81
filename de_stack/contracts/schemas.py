"""A record's schema in other languages: Spark DDL, JSON Schema, catalogue columns.

Belongs here: translation of a `Stream`'s fields. Does not belong here: decoding, tables' own
columns.
"""

from __future__ import annotations

from typing import Any

from de_stack.contracts.message import LONG
from de_stack.contracts.model import Field, Stream

SPARK_TYPES = {
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
    return SPARK_TYPES[field.type]


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
    """JSON Schema (draft 2020-12) of a message as it stands on the wire.

    It says what the decoder checks except for duplicate keys, bytes, and the spelling of times: see
    the test that holds the two against each other.
    """
    root = _object(stream.fields, 0)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": stream.name,
        "description": stream.description,
        **root,
    }


def _object(fields: tuple[Field, ...], depth: int) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required = []
    for part in dict.fromkeys(f.path[depth] for f in fields):
        below = tuple(f for f in fields if f.path[depth] == part)
        is_leaf = len(below[0].path) == depth + 1
        node = _leaf(below[0]) if is_leaf else _object(below, depth + 1)
        if any(f.required for f in below):
            required.append(part)
        else:
            # What may be missing may be null as well.
            node["type"] = [node["type"], "null"]
            if "enum" in node:
                node["enum"] = [*node["enum"], None]
        properties[part] = node
    return {"type": "object", "properties": properties, "required": required}


def _leaf(field: Field) -> dict[str, Any]:
    low, high = LONG if field.type == "integer" else (None, None)
    extra = {
        "description": field.description or None,
        "minimum": low if field.minimum is None else field.minimum,
        "maximum": high if field.maximum is None else field.maximum,
        "minLength": field.min_length,
        "maxLength": field.max_length,
        "pattern": field.pattern,
        "enum": list(field.allowed) or None,
    }
    return _JSON[field.type] | {k: v for k, v in extra.items() if v is not None}
