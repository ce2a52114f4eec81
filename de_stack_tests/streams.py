"""Streams for tests.

Belongs here: `stream`, and contract files as mappings. Does not belong here: tests, the real
contract.
"""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import yaml

from de_stack.contracts import Field, Stream

AT = Field("at", ("at",), "timestamp", required=True)
HISTORY_START = datetime(2026, 1, 1, tzinfo=UTC)


def stream(*fields: Field, **changes: Any) -> Stream:
    """A stream `lab.things` of these fields and `at`, its event time."""
    given: dict[str, Any] = {
        "domain": "lab",
        "entity": "things",
        "version": "1.0.0",
        "description": "Things.",
        "owner": "lab@example.org",
        "team": "lab",
        "fields": (*fields, AT),
        "key": ("at",),
        "event_id": "header:ce_id",
        "event_time": "at",
        "wire_format": "json",
        "partitions": 3,
        "retention": timedelta(days=7),
        "freshness": timedelta(hours=2),
        "grain": "hour",
        "history_start": HISTORY_START,
        "allowed_lateness": timedelta(minutes=10),
        "look_back": timedelta(days=3),
        "max_future": timedelta(minutes=5),
        "generator_rate": 1.0,
    }
    return Stream(**{**given, **changes})


CONTRACT: dict[str, Any] = {
    "apiVersion": "v3.1.0",
    "kind": "DataContract",
    "id": "lab",
    "name": "lab",
    "version": "1.0.0",
    "status": "active",
    "domain": "lab",
    "team": {"name": "lab", "members": [{"username": "lab@example.org", "role": "owner"}]},
    "schema": [
        {
            "name": "things",
            "logicalType": "object",
            "properties": [
                {
                    "name": "id",
                    "logicalType": "string",
                    "required": True,
                    "primaryKey": True,
                    "primaryKeyPosition": 1,
                },
                {"name": "size", "logicalType": "number"},
                {"name": "at", "logicalType": "timestamp", "required": True},
            ],
        }
    ],
    "slaProperties": [
        {"property": "retention", "value": 7, "unit": "d", "element": "things"},
        {"property": "freshness", "value": 2, "unit": "h", "element": "things"},
    ],
    "customProperties": [
        {
            "property": "streams",
            "value": {
                "things": {
                    "wireFormat": "json",
                    "eventId": "header:ce_id",
                    "eventTime": "at",
                    "topicPartitions": 3,
                    "grain": "hour",
                    "historyStart": "2026-01-01T00:00:00Z",
                    "allowedLateness": "PT10M",
                    "lookBack": "P3D",
                    "maxFutureSkew": "PT5M",
                    "generatorRatePerSecond": 1,
                }
            },
        }
    ],
}


def contract() -> dict[str, Any]:
    """A fresh copy of a small contract that is right."""
    return copy.deepcopy(CONTRACT)


def write_contract(folder: Path, content: dict[str, Any] | str) -> Path:
    """Write a contract file (a text as it is)."""
    path = folder / "lab" / "contract.odcs.yaml"
    path.parent.mkdir(exist_ok=True)
    text = content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
    path.write_text(text, encoding="utf-8")
    return path
