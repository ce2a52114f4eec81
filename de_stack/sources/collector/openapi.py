"""The collector's API as OpenAPI 3.1, made from the contracts.

Belongs here: the document. Does not belong here: serving it (`pages.py`), the schema of a message
(`contracts.schemas`).
"""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from de_stack.contracts.schemas import json_schema
from de_stack.sources.collector.body import EVENT, EVENT_BATCH, JSON, MAX_ID, NDJSON
from de_stack.sources.collector.ids import MAX_KEY

if TYPE_CHECKING:
    from de_stack.contracts import Envelope, Stream
    from de_stack.sources.collector.receive import Limits

Node = dict[str, Any]

_CODES = {
    400: "No JSON, or not of the form that its content type promises; or a bad Idempotency-Key.",
    404: "No contract names this stream.",
    408: "The body did not come in time.",
    413: "Too large, or too many items. It is not kept.",
    415: "Another content type.",
    422: "JSON, but against the contract. It is kept as a dead letter.",
    503: "Kafka is away, or too much is under way: send the request again, with the same ids.",
}
_MAYBE_TIME: Node = {
    "anyOf": [{"format": "date-time"}, {"maxLength": 0, "description": "The record's."}]
}
_INFO = """Events come in by POST and are in Kafka when the answer says 202.

A batch is answered with a status per item: 202 where all were accepted, 207 where some were not,
503 where none was and some may be later. A refused item is kept as a dead letter (`kept: true`)
unless it is too large for a message.

Times may be RFC 3339, ISO-8601 without a zone (UTC) or with a blank for the T, and numbers: seconds
since 1970, milliseconds from 1e11 on. Without an id of its own an item gets one: with
`Idempotency-Key` the same one each time that the same request is sent."""


def document(streams: Mapping[str, Stream], limits: Limits, now: datetime) -> Node:
    """The API's description; `now` is the time in the examples."""
    paths: Node = {}
    schemas = _answers()
    for name, stream in streams.items():
        schemas[f"{name}.item"] = _item_schema(stream)
        paths[f"/v1/streams/{name}"] = {
            "get": _schema_operation(name, stream),
            "post": _events_operation(name, stream, limits, now),
        }
    paths["/healthz"] = {
        "get": _page("health", "Can events be taken?", JSON, "Health", {200: "Kafka answers."})
    }
    paths["/healthz"]["get"]["responses"]["503"] = _refusal(503)
    text = "text/plain"
    paths["/metrics"] = {
        "get": _page("metrics", "Counters for Prometheus.", text, "Text", {200: "Prometheus text."})
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "de_stack collector", "version": "1", "description": _INFO},
        "paths": paths,
        "components": {"schemas": schemas},
    }


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


def _item_schema(stream: Stream) -> Node:
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


def _events_operation(name: str, stream: Stream, limits: Limits, now: datetime) -> Node:
    item = {"$ref": f"#/components/schemas/{name}.item"}
    example = _example(stream, now)
    event = {"specversion": "1.0", "id": "event-1", "source": "me", "type": name, "data": example}
    structured = {
        "type": "object",
        "required": ["id", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {"type": "string", "minLength": 1, "maxLength": MAX_ID},
            "source": {"type": "string"},
            "type": {"type": "string"},
            "time": {"type": "string", **_MAYBE_TIME},
            "data": item,
        },
    }
    # How many there may be is said in words: testers of APIs would send that many.
    batch: Node = {"type": "array"}
    lines = "\n".join([json.dumps(example)] * 2)
    contents = {
        JSON: {
            "schema": {"anyOf": [item, batch | {"items": item}]},
            "examples": {"one": {"value": example}, "several": {"value": [example, example]}}
            | {f"envelope {e.name}": {"value": _wrapped(e, example)} for e in stream.envelopes},
        },
        NDJSON: {"schema": {"type": "string"}, "example": lines},
        EVENT: {"schema": structured, "example": event},
        EVENT_BATCH: {"schema": batch | {"items": structured}, "example": [event]},
    }
    ok = {"schema": {"anyOf": [_ref("Result"), _ref("Batch")]}}
    responses: Node = {
        "202": {
            "description": "Kafka has acknowledged every event.",
            "content": {JSON: ok | {"example": {"id": "event-1", "status": 202}}},
        },
        "207": {
            "description": "A batch of which not all were accepted: a status per item.",
            "content": {JSON: {"schema": _ref("Batch")}},
            "headers": {"Retry-After": _retry_after("Where some items are to be sent again.")},
        },
    }
    responses |= {str(code): _refusal(code) for code in (400, 408, 413, 415, 422, 503)}
    return {
        "operationId": f"send {name}",
        "summary": f"Send events of {name}",
        "description": f"{stream.description} At most {limits.items} items and "
        f"{limits.body_bytes} bytes in a request.",
        "tags": [name],
        "parameters": _parameters(),
        "requestBody": {"required": True, "content": contents},
        "responses": responses,
    }


def _parameters() -> list[Node]:
    def header(name: str, description: str, **schema: Any) -> Node:
        return {
            "name": name,
            "in": "header",
            "description": description,
            "schema": {"type": "string", **schema},
        }

    one = "Of one object (application/json): the event's"
    return [
        header(
            "Idempotency-Key",
            "The same request with the same key gives the same ids: sent again, it adds nothing.",
            minLength=1,
            maxLength=MAX_KEY,
            pattern=r"^[\x20-\x7E]+$",
        ),
        # Without bounds: of a batch they are not looked at, whatever is in them.
        header("ce-id", f"{one} id, 1 to {MAX_ID} characters."),
        header("ce-source", f"{one} source."),
        header("ce-type", f"{one} type."),
        header("ce-time", f"{one} time, RFC 3339."),
    ]


def _schema_operation(name: str, stream: Stream) -> Node:
    kind = "application/schema+json"
    said = {200: "JSON Schema, draft 2020-12."}
    return _page(f"schema {name}", f"What {name} looks like in Kafka", kind, "Object", said) | {
        "description": f"Version {stream.version} of the contract.",
        "tags": [name],
    }


def _page(operation: str, summary: str, kind: str, schema: str, said: dict[int, str]) -> Node:
    return {
        "operationId": operation,
        "summary": summary,
        "responses": {
            str(code): {"description": text, "content": {kind: {"schema": _ref(schema)}}}
            for code, text in said.items()
        },
    }


def _refusal(code: int) -> Node:
    schema = {"anyOf": [_ref("Refusal"), _ref("Result"), _ref("Batch")]}
    found: Node = {"description": _CODES[code], "content": {JSON: {"schema": schema}}}
    if code == 503:
        found["headers"] = {"Retry-After": _retry_after("When to come back, in seconds.")}
    return found


def _retry_after(description: str) -> Node:
    return {"description": description, "schema": {"type": "integer", "minimum": 0}}


def _ref(name: str) -> Node:
    return {"$ref": f"#/components/schemas/{name}"}


def _answers() -> Node:
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


def _example(stream: Stream, now: datetime) -> Node:
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


def _wrapped(envelope: Envelope, example: Node) -> Node:
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
