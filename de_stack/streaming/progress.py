"""Spark's account of a batch -> what the ledger, `/metrics` and people are told.

Belongs here: reading progress. Does not belong here: writing it anywhere (`host.py`, `meters.py`).
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from de_stack.flow.continuous.batches import Measured

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery


def since(query: StreamingQuery, last: dict[str, Any]) -> list[dict[str, Any]]:
    """What a query has said after `last`, oldest first; all that it still knows, without one.

    `recentProgress` brings over all that is kept, some hundred calls: twice a second, for a handful
    of queries, that took a core. From the newest backwards it is one or two.
    """
    spark: Any = query._jsq  # noqa: SLF001
    kept = spark.recentProgress()
    found: list[dict[str, Any]] = []
    for place in range(len(kept) - 1, -1, -1):
        one = json.loads(kept[place].json())
        if (one["runId"], one["timestamp"]) == (last.get("runId"), last.get("timestamp")):
            break
        found.append(one)
    return found[::-1]


def measured(found: dict[str, Any]) -> Measured:
    """The figures of one batch."""
    sources, operators = found["sources"], found["stateOperators"]
    return Measured(
        query_id=found["id"],
        batch_id=found["batchId"],
        input_rows=sum(s["numInputRows"] for s in sources),
        state_rows=sum(o["numRowsTotal"] for o in operators),
        dropped_rows=sum(o["numRowsDroppedByWatermark"] for o in operators),
        lag_rows=_lag(sources),
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


def _lag(sources: list[dict[str, Any]]) -> int | None:
    # Of a batch that comes again after a crash Spark does not say what the topic had.
    if any(_offsets(s, "endOffset") and not _offsets(s, "latestOffset") for s in sources):
        return None
    return max((_behind(s) for s in sources), default=0)


def _behind(source: dict[str, Any]) -> int:
    """Messages that the topic had beyond the batch when it was planned."""
    return sum(_offsets(source, "latestOffset")) - sum(_offsets(source, "endOffset"))


def _offsets(source: dict[str, Any], name: str) -> list[int]:
    value = source.get(name)
    if isinstance(value, str):
        value = json.loads(value)
    return [offset for topic in (value or {}).values() for offset in topic.values()]
