"""The collector's API as OpenAPI 3.1, made from the contracts.

Belongs here: paths, operations, headers. Does not belong here: serving it (`pages.py`), schemas and
examples (`api_schemas.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from de_stack.contracts.csv_line import line_of
from de_stack.sources.collector.api_schemas import Node, answers, example, item_schema, wrapped
from de_stack.sources.collector.body import CSV, EVENT, EVENT_BATCH, JSON, MAX_ID, NDJSON
from de_stack.sources.collector.ids import MAX_KEY

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.sources.collector.receive import Limits


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
    schemas = answers()
    for name, stream in streams.items():
        schemas[f"{name}.item"] = item_schema(stream)
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


def _events_operation(name: str, stream: Stream, limits: Limits, now: datetime) -> Node:
    item = {"$ref": f"#/components/schemas/{name}.item"}
    sample = example(stream, now)
    event = {"specversion": "1.0", "id": "event-1", "source": "me", "type": name, "data": sample}
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
    lines = "\n".join([json.dumps(sample)] * 2)
    contents = {
        JSON: {
            "schema": {"anyOf": [item, batch | {"items": item}]},
            "examples": {"one": {"value": sample}, "several": {"value": [sample, sample]}}
            | {f"envelope {e.name}": {"value": wrapped(e, sample)} for e in stream.envelopes},
        },
        NDJSON: {"schema": {"type": "string"}, "example": lines},
        **(
            {CSV: {"schema": {"type": "string"}, "example": _csv(stream, sample)}}
            if stream.csv_line
            else {}
        ),
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

    one = "Of one object (application/json), or of one line of CSV: the event's"
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


def _csv(stream: Stream, sample: Node) -> str:
    return line_of(stream, sample).decode()


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
