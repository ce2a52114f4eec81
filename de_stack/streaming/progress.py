"""Spark's account of a batch -> what the ledger, `/metrics` and people are told.

Belongs here: reading progress. Does not belong here: writing it anywhere (`host.py`, `meters.py`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from de_stack.flow.continuous.batches import Measured


def plain(progress: Any) -> dict[str, Any]:
    """A progress of PySpark as its JSON."""
    return progress if isinstance(progress, dict) else json.loads(progress.json)


def measured(found: dict[str, Any]) -> Measured:
    """The figures of one batch."""
    sources, operators = found["sources"], found["stateOperators"]
    return Measured(
        query_id=found["id"],
        batch_id=found["batchId"],
        input_rows=sum(s["numInputRows"] for s in sources),
        state_rows=sum(o["numRowsTotal"] for o in operators),
        dropped_rows=sum(o["numRowsDroppedByWatermark"] for o in operators),
        lag_rows=max((_behind(s) for s in sources), default=0),
        duration_ms=found["durationMs"].get("triggerExecution", 0),
    )


def has_run(found: dict[str, Any]) -> bool:
    """False for a look at the topic that found nothing to do: it is no batch."""
    return "addBatch" in found["durationMs"]


def watermark(found: dict[str, Any]) -> datetime | None:
    """How far the query is in event time; None before its first rows, or without windows."""
    text = found.get("eventTime", {}).get("watermark")
    moment = datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None
    return moment if moment and moment > datetime(1970, 1, 1, tzinfo=UTC) else None


def _behind(source: dict[str, Any]) -> int:
    """Messages that the topic had beyond the batch when it was planned."""
    return sum(_offsets(source, "latestOffset")) - sum(_offsets(source, "endOffset"))


def _offsets(source: dict[str, Any], name: str) -> Iterable[int]:
    value = source.get(name)
    if isinstance(value, str):
        value = json.loads(value)
    return [offset for topic in (value or {}).values() for offset in topic.values()]
