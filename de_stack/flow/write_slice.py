"""One slice: Kafka -> Spark -> one Delta commit.

Belongs here: reading a range of offsets and appending it. Does not belong here: which range,
whether the commit was ours (`land.py`), what Spark's workers do (`decoding.py`).
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING

from de_stack.flow import decoding, slices, tables
from de_stack.resources.kafka import TopicState, spark_options
from de_stack.resources.lake import Lake
from de_stack.resources.spark import Conflict, asking, open_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from de_stack.contracts import Stream
    from de_stack.settings import Settings

# Below this a slice is one file: ticks of seconds would otherwise leave a tiny file per partition.
_ONE_FILE_ROWS = 100_000


def write_slice(
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
    """Append one slice; another writer of the same number may have been first, which is no error.

    Raises:
        TransientFailure: Spark went away, or the lake's disk is full.
    """
    with suppress(Conflict), asking(settings, f"land slice {number} of {state.topic}"):
        spark = open_session(settings, session)
        if is_new:
            tables.create(spark, Lake(settings), table)
        frame = _rows(settings, stream, spark, state, piece)
        (
            frame.write.format("delta")
            .mode("append")
            .option("txnAppId", f"land:{table.table_id}")
            .option("txnVersion", number)
            .option("userMetadata", metadata)
            .save(table.uri)
        )


def _rows(
    settings: Settings,
    stream: Stream,
    spark: SparkSession,
    state: TopicState,
    piece: slices.Slice,
) -> DataFrame:
    source = _messages(settings, spark, state, piece)
    if piece.size < _ONE_FILE_ROWS:
        source = source.coalesce(1)
    return bronze_rows(source, stream, state.topic, state.topic_id)


def _messages(
    settings: Settings, spark: SparkSession, state: TopicState, piece: slices.Slice
) -> DataFrame:
    def offsets(of: slices.Offsets) -> str:
        return json.dumps({state.topic: {str(p): o for p, o in of.items()}})

    return (
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


def bronze_rows(messages: DataFrame, stream: Stream, topic: str, topic_id: str) -> DataFrame:
    """Messages of one topic (as Kafka's source gives them) -> rows of bronze."""
    from pyspark.sql import functions as f

    return decoding.decoded(messages, stream, topic_id).select(
        f.lit(topic).alias("topic"),
        f.lit(topic_id).alias("topic_id"),
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
