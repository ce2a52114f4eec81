"""The continuous query of the workload of averages, with our driver or with settings of Spark's.

Belongs here: one run of the product's own query. Does not belong here: rounds, checks.

Run as `python -m benchmarks.averages_spark KIND NAMESPACE CHECKPOINT SLICE UNTIL_MS`, with KIND
`ours`, `default` (ours but for Spark's 200 partitions and its state store) or `plain` (nor our way
to write a checkpoint): from the oldest trade, SLICE of them in a batch, until the window that ends
at UNTIL_MS is closed. `live NAMESPACE CHECKPOINT MODE SECONDS` runs that long, a batch each half
second.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.averages_topic import NAME, SLIDE, WATERMARK, WINDOW
from benchmarks.landing_topic import say
from benchmarks.measuring import cpu

if TYPE_CHECKING:
    from de_stack.flow.continuous.query import Mode, Query
    from de_stack.settings import Settings

LIVE_INTERVAL_S = 0.5
# What Spark says of a batch, in milliseconds.
_PARTS = ("latestOffset", "walCommit", "queryPlanning", "getBatch", "addBatch", "commitOffsets")
# What Spark does where nobody says otherwise.
_DEFAULTS = {
    "spark.sql.shuffle.partitions": "200",
    "spark.sql.streaming.stateStore.providerClass": (
        "org.apache.spark.sql.execution.streaming.state.HDFSBackedStateStoreProvider"
    ),
}
_MANAGER = "spark.sql.streaming.checkpointFileManagerClass"
_PLAIN = _DEFAULTS | {
    _MANAGER: (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileContextBasedCheckpointFileManager"
    ),
}


def query_of(mode: Mode) -> Query:
    """The product's rule and sink, with the sizes of this workload."""
    from de_stack.contracts import load_stream
    from de_stack.defs.stocks.core import rules, schema
    from de_stack.flow.continuous.query import Query
    from de_stack.flow.continuous.topic_sink import TopicSink

    sizes = [(NAME, WINDOW, SLIDE)]
    return Query(
        "stocks",
        "averages",
        load_stream("stocks.ticks"),
        lambda ticks: rules.moving_averages(ticks, sizes, WATERMARK),
        mode,
        TopicSink(load_stream("stocks.averages"), schema.AVERAGES_KEY),
        (NAME, mode),
        "Averages of the benchmark.",
    )


def run(settings: Settings, mode: Mode, until_ms: int | None, seconds: float) -> dict[str, Any]:
    """Run the query from an empty checkpoint; its batches and what they took."""
    from de_stack.flow.continuous.batches import Batches
    from de_stack.flow.continuous.running import alone, begin
    from de_stack.streaming.session import close_driver, open_driver, write_checksums

    query = query_of(mode)
    batches = Batches(settings, settings.names.query(query.domain, query.entity))
    with tempfile.TemporaryDirectory(dir=os.environ["DE_STACK_HOME"]) as tmp:
        session = open_driver(settings, Path(tmp))
        try:
            if settings.spark_config.get(_MANAGER) == _PLAIN[_MANAGER]:
                write_checksums(session)
            session.range(10).selectExpr("sum(id)").collect()
            with alone(settings, query) as still_ours:
                used, began = cpu(os.getpid()), time.perf_counter()
                running, seen = begin(settings, session, query, still_ours), None
                while time.perf_counter() - began < seconds:
                    if error := running.exception():
                        raise error
                    newest = (running.lastProgress or {}).get("batchId")
                    # The ledger is asked once for a batch: asking all the time took a fifth of a
                    # core from the query.
                    if until_ms is not None and newest != seen:
                        seen = newest
                        if _is_closed(batches, str(running.id), until_ms):
                            break
                    time.sleep(0.02)
                took, used = time.perf_counter() - began, cpu(os.getpid()) - used
                with suppress(TimeoutError):
                    running.awaitTermination(1)
                told = [p for p in running.recentProgress if p["numInputRows"]]
                running.stop()
        finally:
            close_driver(session)
    batch_ms = [p["durationMs"]["triggerExecution"] for p in told]
    state = max((p["stateOperators"][0]["numRowsTotal"] for p in told), default=0)
    return {
        "seconds": took,
        "cpu": used,
        "query_id": str(running.id),
        "batch_ms": batch_ms,
        "parts_ms": {part: _middle(told, part) for part in _PARTS},
        "state_rows": state,
        "dropped": sum(p["stateOperators"][0]["numRowsDroppedByWatermark"] for p in told),
    }


def _middle(told: list[Any], part: str) -> float:
    return statistics.median([p["durationMs"].get(part, 0) for p in told] or [0])


def _is_closed(batches: Any, query_id: str, until_ms: int) -> bool:
    found = batches.history()
    if found is None or found.query_id != query_id or not found.batches:
        return False
    # A batch gives the windows that end by the watermark that it was planned with.
    return found.batches[-1].watermark_ms >= until_ms


def main() -> None:
    from de_stack.settings import Settings

    kind, namespace, checkpoint, *rest = sys.argv[1:]
    values: dict[str, Any] = {"namespace": namespace, "checkpoint_uri": checkpoint}
    if kind == "live":
        mode: Any = rest[0]
        settings = Settings(**values, query_interval_seconds=LIVE_INTERVAL_S)
        found = run(settings, mode, None, float(rest[1]))
    else:
        values |= {"slice_max_rows": int(rest[0]), "query_interval_seconds": 0.001}
        values["spark_config"] = {"default": _DEFAULTS, "plain": _PLAIN}.get(kind, {})
        found = run(Settings(**values), "append", int(rest[1]), 3600)
    say(**found)


if __name__ == "__main__":
    main()
