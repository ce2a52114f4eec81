"""Continuous queries in Dagster's words: what they keep, how they are, whether they are right.

Belongs here: external assets, the sensor that observes them, the check of parity. Does not belong
here: running queries (`streaming`), the comparison (`flow.continuous.parity`).

A query is no run: its host is a process of its own. What it keeps is an outside asset, and a sensor
says now and then how far it is.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from de_stack import naming, partitions
from de_stack.flow.continuous import parity
from de_stack.flow.continuous.batches import Batches
from de_stack.flow.continuous.lake_sink import LakeSink
from de_stack.flow.continuous.parity_tables import Sides
from de_stack.flow.continuous.query import Query
from de_stack.flow.continuous.table_sink import TableSink
from de_stack.flow.continuous.topic_sink import TopicSink
from de_stack.orchestration.assets import common
from de_stack.orchestration.checks import event_hours
from de_stack.settings import Settings

_MOST_SHOWN = 20
# What a check without partitions looks at: an older window is settled or will never be.
_PERIODS = 24


def key_of(query: Query) -> dg.AssetKey:
    """The asset that a query keeps: a topic of results, or a live table."""
    if isinstance(query.sink, TopicSink):
        stream = query.sink.stream
        return dg.AssetKey(naming.asset_key(stream.domain, "topic", stream.entity))
    sink = query.sink
    assert isinstance(sink, TableSink | LakeSink)  # noqa: S101 - the only others
    entity = sink.entity if isinstance(sink, LakeSink) else naming.split_asset(sink.name)[1]
    return dg.AssetKey(naming.asset_key(query.domain, "live", entity))


def live(query: Query) -> dg.AssetSpec:
    """The table that a query keeps, as an outside asset."""
    sink, key = query.sink, key_of(query)
    assert isinstance(sink, TableSink | LakeSink)  # noqa: S101 - a topic has its own (`topic`)
    is_lake = isinstance(sink, LakeSink)
    columns = sink.all_columns if isinstance(sink, LakeSink) else sink.columns
    place = "lake" if is_lake else "serving"
    return dg.AssetSpec(
        **common(
            query.reads,
            "live",
            {"spark", "delta" if is_lake else "postgres"},
            columns,
            f"{place}.{query.domain}.{key.path[1]}",
            entity=key.path[1].partition("_")[2],
        ),
        description=f"{query.description} Kept by the continuous query {query.name} "
        f"({query.mode}): `de-stack stream status {query.name}`.",
        deps=[naming.asset_key(query.reads.domain, "topic", query.reads.entity)],
    )


def observe_sensor(domain: str, queries: Sequence[Query]) -> dg.SensorDefinition:
    """Says of each query of a domain how far it is, where that has changed."""

    @dg.sensor(
        name=f"{domain}__observe_queries",
        minimum_interval_seconds=Settings().sensor_interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=f"Observes what the continuous queries of {domain} keep: batch, rows, "
        "watermark, state, lag, rows that were too late.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SensorResult | dg.SkipReason:
        events, told = [], dict(_cursor(context.cursor))
        for query in queries:
            name = settings.names.query(query.domain, query.entity)
            newest = Batches(settings, name).newest()
            if newest is None:
                continue
            mark = f"{newest['query_id']}/{newest['batch_id']}"
            if told.get(name) == mark:
                continue
            told[name] = mark
            events.append(dg.AssetObservation(key_of(query), metadata=_metadata(newest)))
        if not events:
            return dg.SkipReason("no query has done a batch since")
        cursor = " ".join(f"{name}={mark}" for name, mark in sorted(told.items()))
        return dg.SensorResult(asset_events=events, cursor=cursor)

    return sensor


def _cursor(text: str | None) -> list[tuple[str, str]]:
    return [(name, mark) for name, _, mark in (p.partition("=") for p in (text or "").split())]


def _metadata(newest: dict[str, Any]) -> dict[str, Any]:
    watermark = newest["watermark_ms"]
    return {
        "batch_id": newest["batch_id"],
        "input_rows": newest["input_rows"],
        "watermark": (
            datetime.fromtimestamp(watermark / 1000, UTC).isoformat() if watermark else "none yet"
        ),
        "state_rows": newest["state_rows"],
        "lag_rows": newest["lag_rows"],
        "duration_ms": newest["duration_ms"],
        "rows_so_far": newest["total_rows"],
        "dropped_by_watermark_so_far_at_least": newest["total_dropped"],
        "done_at": str(newest["done_at"]),
        "query_id": newest["query_id"],
    }


def parity_check(sides: Sides) -> dg.AssetChecksDefinition:
    """Closed windows of a query are those of the batch path, or it is known why they are not."""
    stream = sides.query.reads
    key = naming.asset_key(sides.gold.stream.domain, sides.gold.layer, sides.gold.entity)

    @dg.asset_check(
        asset=dg.AssetKey(key),
        name="equals_continuous",
        description=f"Closed windows of query {sides.query.name} have the numbers of the batch "
        "path. A difference is explained by rows that came after the watermark had passed the "
        "window's end (by the query's own offset log), or by an event that the topic has twice.",
    )
    def check(
        context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.AssetCheckResult:
        hours = event_hours(context, stream)
        if hours is None:
            last = partitions.floor(datetime.now(UTC), stream.grain)
            hours = partitions.after(last, stream.grain, -_PERIODS), last
        found = parity.compare(settings, sides, *hours)
        return dg.AssetCheckResult(
            passed=not found.wrong,
            description="; ".join(found.wrong[:_MOST_SHOWN]) or None,
            metadata={
                "windows": found.windows,
                "equal": found.equal,
                "explained_by_late_rows": found.explained_by_late_rows,
                "explained_by_repeated_events": found.explained_by_repeated_events,
                "batch_path_behind": found.batch_path_behind,
                "late_rows": len(found.late),
                "late_rows_left_out_of_windows": found.late_places,
                "most_late_s": found.most_late_s,
                "windows_not_read_yet": found.not_read_by_query,
                "sent_more_than_once": found.sent_more_than_once,
                "settled_until": str(found.settled_until),
                "wrong": len(found.wrong),
                "first_wrong": dg.MetadataValue.json(found.wrong[:_MOST_SHOWN]),
            },
        )

    return check
