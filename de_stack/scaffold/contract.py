"""A draft -> the text of its contract file.

Belongs here: ODCS YAML. Does not belong here: choosing what stands in it (`draft.py`).
"""

from __future__ import annotations

from typing import Any

import yaml

from de_stack.scaffold.draft import Draft, DraftField

_HEAD = """\
# The only place where the schema of {name} is written. Spark and JSON schemas, topic settings,
# generator defaults, dbt sources, checks and the columns in the UI are derived from it.
# Drafted from {file}: look at every line. Units, bounds and meanings are yours to add.
"""


def contract_text(draft: Draft, file: str, owner: str) -> str:
    """The contract of a drafted stream; `file` is the name of what it was drafted from."""
    hourly = draft.grain == "hour"
    fresh = {"hour": (2, "h"), "day": (2, "d"), "month": (62, "d")}[draft.grain]
    unit = {"value": fresh[0], "unit": fresh[1]}
    contract: dict[str, Any] = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": f"de-stack.{draft.domain}",
        "name": draft.domain,
        "version": "1.0.0",
        "status": "draft",
        "domain": draft.domain,
        "description": {"purpose": f"What {file} holds, as a stream."},
        "team": {
            "name": draft.domain.replace("_", "-"),
            "members": [{"username": owner, "role": "owner"}],
        },
        "schema": [
            {
                "name": draft.entity,
                "logicalType": "object",
                "physicalType": "topic",
                "description": f"One event of {draft.domain}, as a row of {file} has it.",
                "properties": [_property(draft, field) for field in draft.fields],
            }
        ],
        "slaProperties": [
            {"property": "retention", "value": 7, "unit": "d", "element": draft.entity},
            {"property": "freshness", **unit, "element": draft.entity},
            {"property": "errorRate", "value": 1, "unit": "percent", "element": draft.entity},
        ],
        "customProperties": [
            {
                "property": "streams",
                "value": {
                    draft.entity: {
                        "wireFormat": "json",
                        "eventId": "header:ce_id",
                        "eventTime": draft.time,
                        "topicPartitions": 3,
                        "grain": draft.grain,
                        "historyStart": f"{draft.history_start:%Y-%m-%dT%H:%M:%SZ}",
                        "allowedLateness": "PT10M" if hourly else "PT6H",
                        "lookBack": "P3D" if hourly else "P30D",
                        "maxFutureSkew": "PT5M",
                        "accountedIn": f"stats_{draft.entity}.count",
                    }
                },
            }
        ],
    }
    head = _HEAD.format(name=f"{draft.domain}.{draft.entity}", file=file)
    return head + yaml.safe_dump(contract, sort_keys=False, width=100, allow_unicode=True)


def _property(draft: Draft, field: DraftField) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": field.name,
        "physicalName": field.name,
        "logicalType": field.type,
        "required": field.required,
        "description": f"Column {field.column!r} of the file."
        if field.column
        else "What the events are of; it is the message key.",
    }
    if field.name == draft.key:
        found |= {"primaryKey": True, "primaryKeyPosition": 1}
        if field.type == "string":
            found["logicalTypeOptions"] = {"minLength": 1, "maxLength": max(128, field.longest)}
    if field.name == draft.time:
        found["description"] += " The event time."
    return found
