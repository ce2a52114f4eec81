"""Kafka -> bronze, slice by slice, each slice one Delta commit.

Belongs here: the loop that plans, writes and verifies slices. Does not belong here: offset
arithmetic (`slices.py`), decoding (`decoding.py`), the ledger's SQL.

Rows, slice number and offsets are in one commit (`txnAppId`, `txnVersion`, user metadata), so they
cannot disagree, and two writers of one slice fence each other: one commits, the other is refused or
skipped. A skipped write reports success too, hence nothing is believed before the log has shown our
token.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from de_stack import partitions
from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.flow import commits, decoding, slices, tables
from de_stack.flow.ledger import Landed, Ledger
from de_stack.resources.kafka import Kafka, TopicState, spark_options
from de_stack.resources.lake import Lake
from de_stack.resources.spark import is_away, is_conflict, open_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from de_stack.contracts import Stream
    from de_stack.settings import Settings

log = logging.getLogger(__name__)
# Below this a slice is one file: ticks of seconds would otherwise leave one tiny file per
# partition.
_ONE_FILE_ROWS = 100_000
_MAX_LOST_RACES = 20


@dataclass
class Landing:
    """What one call has landed; `hours` counts rows per ingest hour."""

    slices: int = 0
    rows: int = 0
    dead: int = 0
    hours: dict[datetime, int] = field(default_factory=dict)


def bronze(settings: Settings, stream: Stream) -> tables.Table:
    """The bronze table of a stream."""
    return tables.Table(
        settings.names.table_id(stream.domain, "bronze", stream.entity),
        Lake(settings).uri(stream.domain, "bronze", stream.entity),
        decoding.bronze_ddl(stream),
        "ingest_date",
        tables.BRONZE_STATS,
        stream.grain,
    )


def waiting(settings: Settings, stream: Stream, deadline_ms: int = 2000) -> int:
    """Offsets between what has landed and the end of the topic. Reads offsets and the ledger only.

    Raises:
        PermanentFailure: the topic is not there.
    """
    topic = settings.names.topic(stream.domain, stream.entity)
    state = Kafka(settings).topic_state(topic, deadline_ms)
    if state is None:
        raise _no_topic(topic)
    landed = Ledger(settings).landed(bronze(settings, stream).table_id)
    piece = slices.next_slice(landed.offsets if landed else {}, state.begin, state.end, 2**62)
    return piece.size if piece else 0


def land(
    settings: Settings, stream: Stream, spark: Callable[[], SparkSession], run_id: str
) -> Landing:
    """Land everything from the last committed slice up to the topic's end as it is now.

    Args:
        settings: where everything is.
        stream: the contract; it names topic and table.
        spark: gives the session; it is not called when there is nothing to land.
        run_id: goes into the commits.

    Raises:
        PermanentFailure: offsets are missing, the topic is another one, or log and ledger disagree.
        TransientFailure: a system was away.
    """
    table, lake, ledger = bronze(settings, stream), Lake(settings), Ledger(settings)
    topic = settings.names.topic(stream.domain, stream.entity)
    state = Kafka(settings).topic_state(topic)
    if state is None:
        raise _no_topic(topic)
    landing, lost = Landing(), 0
    while True:
        is_new = commits.reconcile(lake, ledger, table) < 0
        landed = ledger.landed(table.table_id)
        piece = _plan(settings, table, state, landed)
        if piece is None:
            return landing
        number = landed.slice + 1 if landed else 0
        token, metadata = commits.envelope(
            "land",
            run_id,
            slice=number,
            topic=topic,
            topic_id=state.topic_id,
            contract_version=stream.version,
            start=piece.start,
            end=piece.end,
            # All partitions: one that retention had emptied before we came has lost nothing.
            landed={**(landed.offsets if landed else state.begin), **piece.end},
            late_after_s=int(
                (partitions.step(stream.grain) + stream.allowed_lateness).total_seconds()
            ),
        )
        _write(settings, stream, spark, table, is_new, state, piece, number, metadata)
        commits.reconcile(lake, ledger, table)
        version = ledger.token_version(table.table_id, token)
        if version is None:
            lost += 1
            log.info("slice %d of %s was landed by another writer", number, topic)
            if lost >= _MAX_LOST_RACES:
                raise TransientFailure(f"land {topic}", f"lost {lost} races for a slice")
            continue
        _count(lake, table, piece, version, landing)
        log.info("landed slice %d of %s: version %d, %s", number, topic, version, piece.end)


def _no_topic(topic: str) -> PermanentFailure:
    return PermanentFailure(
        f"read topic {topic}", "there is no such topic", "`de-stack up` makes it"
    )


def _plan(
    settings: Settings, table: tables.Table, state: TopicState, landed: Landed | None
) -> slices.Slice | None:
    tried = f"plan the next slice of {state.topic}"
    if landed and landed.topic_id != state.topic_id:
        raise PermanentFailure(
            tried,
            f"the topic was made anew: {table.table_id} holds topic id {landed.topic_id}, "
            f"the broker has {state.topic_id}",
        )
    offsets = landed.offsets if landed else {}
    if gaps := slices.missing_ranges(offsets, state.begin, first_slice=landed is None):
        named = ", ".join(f"partition {g.partition} offsets {g.first}..{g.last}" for g in gaps)
        raise PermanentFailure(tried, f"Kafka no longer has {named}: they were never landed")
    return slices.next_slice(offsets, state.begin, state.end, settings.slice_max_rows)


def _write(
    settings: Settings,
    stream: Stream,
    session: Callable[[], SparkSession],
    table: tables.Table,
    is_new: bool,
    state: TopicState,
    piece: slices.Slice,
    number: int,
    metadata: str,
) -> None:
    from pyspark.errors import PySparkException

    tried = f"land slice {number} of {state.topic}"
    try:
        spark = open_session(settings, session)
        if is_new:
            tables.create(spark, table)
        frame = _rows(settings, stream, spark, state, piece)
        (
            frame.write.format("delta")
            .mode("append")
            .option("txnAppId", f"land:{table.table_id}")
            .option("txnVersion", number)
            .option("userMetadata", metadata)
            .save(table.uri)
        )
    except PySparkException as error:
        if is_conflict(error):
            return
        if is_away(error):
            raise TransientFailure(tried, f"Spark went away: {str(error)[:300]}") from error
        raise


def _rows(
    settings: Settings,
    stream: Stream,
    spark: SparkSession,
    state: TopicState,
    piece: slices.Slice,
):  # noqa: ANN202 - DataFrame, imported nowhere else
    from pyspark.sql import functions as f

    def offsets(of: slices.Offsets) -> str:
        return json.dumps({state.topic: {str(p): o for p, o in of.items()}})

    source = (
        spark.read.format("kafka")
        .options(**spark_options(settings))
        .option("assign", json.dumps({state.topic: sorted(piece.end)}))
        .option("startingOffsets", offsets(piece.start))
        .option("endingOffsets", offsets(piece.end))
        .option("includeHeaders", "true")
        .option("failOnDataLoss", "true")
        .load()
        .select("partition", "offset", "timestamp", "key", "headers", "value")
    )
    if piece.size < _ONE_FILE_ROWS:
        source = source.coalesce(1)
    decoded = source.mapInArrow(
        decoding.decode_batches(stream, state.topic_id), decoding.decoded_ddl(stream)
    )
    return decoded.select(
        f.lit(state.topic).alias("topic"),
        f.lit(state.topic_id).alias("topic_id"),
        "partition",
        "offset",
        "broker_time",
        f.date_trunc(stream.grain, "broker_time").alias("ingest_hour"),
        "event_id",
        "event_time",
        f.date_trunc(stream.grain, "event_time").alias("event_hour"),
        "error",
        f.lit(stream.version).alias("contract_version"),
        "key",
        "headers",
        "value",
        "record",
        f.to_date("broker_time").alias("ingest_date"),
    )


def _count(
    lake: Lake, table: tables.Table, piece: slices.Slice, version: int, landing: Landing
) -> None:
    landing.slices += 1
    found = lake.query(
        table.uri,
        "select ingest_hour, count(*) as rows, count(error) as dead from t "
        f"where {commits.slice_condition(piece.start, piece.end)} group by ingest_hour",
        version,
    ).to_pylist()
    for row in found:
        hour = commits.utc(row["ingest_hour"])
        landing.hours[hour] = landing.hours.get(hour, 0) + row["rows"]
        landing.rows += row["rows"]
        landing.dead += row["dead"]
