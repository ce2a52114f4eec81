"""Schemas and examples of the collector's API.

Belongs here: what an item may be, what an answer is, the same in OpenAPI 3.0. Does not belong here:
paths and operations (`openapi.py`), the schema of a message (`contracts.schemas`).
"""

from __future__ import annotations

import copy
from datetime import datetime
from typing import TYPE_CHECKING, Any

from de_stack.contracts.schemas import json_schema

if TYPE_CHECKING:
    from de_stack.contracts import Envelope, Stream

Node = dict[str, Any]


def as_3_0(given: Node) -> Node:
    """The same for readers that know OpenAPI 3.0 only: the pages of Swagger UI 4."""

    def old(node: Any) -> Any:
        if isinstance(node, list):
            return [old(n) for n in node]
        if not isinstance(node, dict):
            return node
        made = {k: old(v) for k, v in node.items() if k != "$schema"}
        kind = made.get("type")
        if isinstance(kind, list):
            made |= {"type": next(k for k in kind if k != "null"), "nullable": True}
        if "const" in made:
            made["enum"] = [made.pop("const")]
        return made

    return old(copy.deepcopy(given)) | {"openapi": "3.0.3"}


def item_schema(stream: Stream) -> Node:
    """What the door takes as an item: a message, its times in any form, or an envelope."""
    schema = json_schema(stream)
    message = {k: v for k, v in schema.items() if k != "$schema"}
    for field in stream.fields:
        if field.type == "timestamp":
            node = message
            for part in field.path[:-1]:
                node = node["properties"][part]
            node["properties"][field.path[-1]] = _time(field.description)
    forms = [_envelope_schema(e, stream, schema) for e in stream.envelopes]
    return {"anyOf": [message, *forms]} if forms else message


def _time(description: str) -> Node:
    return {
        "description": description,
        "anyOf": [
            {"type": "string", "format": "date-time"},
            {
                "type": "number",
                "description": "Seconds since 1970; milliseconds from 1e11 on.",
                "minimum": -62_135_596_800_000,
                "maximum": 253_402_300_799_999,
            },
        ],
    }


def _envelope_schema(envelope: Envelope, stream: Stream, message: Node) -> Node:
    root: Node = {"type": "object", "title": f"{stream.name}, envelope {envelope.name}"}
    for name, paths in envelope.paths.items():
        field = stream.field(name)
        leaf = message
        for part in field.path:
            leaf = leaf["properties"][part]
        leaf = _time(field.description) if field.type == "timestamp" else leaf
        if name in envelope.defaults:
            # Other choices are places below the last one, as a host's name is.
            leaf = {"anyOf": [leaf, {"type": ["object", "null"]}]}
        node = root
        for part in paths[-1][:-1]:
            node.setdefault("properties", {}).setdefault(part, {"type": "object"})
            _require(node, part)
            node = node["properties"][part]
        node.setdefault("properties", {})[paths[-1][-1]] = leaf
        if name not in envelope.defaults:
            _require(node, paths[-1][-1])
    return root


def _require(node: Node, part: str) -> None:
    if part not in node.setdefault("required", []):
        node["required"].append(part)


def answers() -> Node:
    """The schemas of all answers, by name."""
    text, status = {"type": "string"}, {"type": "integer", "minimum": 202, "maximum": 503}
    why = {"code": text, "field": {"type": ["string", "null"]}, "reason": text}
    ids = {"ids": {"enum": ["given", "idempotency-key"], "description": "Whose the ids are."}}
    kept = {"kept": {"type": "boolean", "description": "It is a dead letter."}}
    result = {"id": text, "status": status} | why | kept
    return {
        "Result": _object(result | ids, "id", "status"),
        "Batch": _object(
            {
                "status": status,
                "accepted": {"type": "integer", "minimum": 0},
                "items": {"type": "array", "items": _object(result, "id", "status")},
            }
            | ids,
            *("status", "accepted", "items"),
        ),
        "Refusal": _object({"status": status} | why | kept, "status", "code", "reason"),
        "Health": _object({"status": {"const": "ok"}}, "status"),
        "Object": {"type": "object"},
        "Text": text,
    }


def _object(properties: Node, *required: str) -> Node:
    return {"type": "object", "properties": properties, "required": list(required)}


def example(stream: Stream, now: datetime) -> Node:
    """A message that holds the contract, or nearly: patterns and lengths are not looked at."""
    found: Node = {}
    for field in stream.fields:
        node = found
        for part in field.path[:-1]:
            node = node.setdefault(part, {})
        at = now.isoformat(timespec="seconds").replace("+00:00", "Z")
        values = {
            "timestamp": at,
            "date": at[:10],
            "string": (field.allowed or (field.name,))[0],
            "boolean": True,
        }
        number = max(field.minimum or 0, 1) if field.minimum is None or field.minimum <= 1 else None
        node[field.path[-1]] = values.get(field.type, field.minimum if number is None else number)
    return found


def wrapped(envelope: Envelope, example: Node) -> Node:
    """The example as it may stand in an envelope, for streams whose fields stand at the top."""
    found: Node = {}
    for name, paths in envelope.paths.items():
        if name in envelope.defaults or name not in example:
            continue
        node = found
        for part in paths[-1][:-1]:
            node = node.setdefault(part, {})
        node[paths[-1][-1]] = example[name]
    return found
