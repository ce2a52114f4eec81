"""Begins a query: topic -> good rows -> the domain's rule -> sink, batch by batch.

Belongs here: putting the parts together, the order of a batch's steps. Does not belong here: which
queries run (`streaming`), the session, any one sink.

A batch: Spark writes down its offsets and watermark; the sink takes its rows, once; the ledger
gets its entry; Spark commits its number. A crash between any two of them repeats the batch with the
same rows.

One process at a time runs a query: it holds a lock in the ledger's database, which ends with it.
That is for people, who are told who has it. What makes two at once harmless (one that was stopped
for a while and wakes up, its lock gone) are the numbers of batches in each sink.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.flow import decoding
from de_stack.flow.continuous.batches import Batches
from de_stack.flow.continuous.checkpoint import Checkpoint
from de_stack.flow.continuous.query import SEEN_AT, Batch, Query
from de_stack.resources.kafka import Kafka, spark_options
from de_stack.resources.postgres import Held, Postgres

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from de_stack.settings import Settings

log = logging.getLogger(__name__)
# How Spark's part of a batch says that its query is stopped.
_STOPPED = ("[SPARK_JOB_CANCELLED]", "java.lang.InterruptedException", "ClosedByInterruptException")
# Parts of a message that good rows are made of.
_MESSAGE = ("partition", "offset", "timestamp", "key", "headers", "value")


def checkpoint_of(settings: Settings, session: SparkSession, query: Query) -> Checkpoint:
    """Where Spark keeps the state of a query."""
    root = settings.need("checkpoint_uri")
    return Checkpoint(session, settings.names.checkpoint_uri(root, query.domain, query.entity))


@contextmanager
def alone(settings: Settings, query: Query) -> Iterator[Callable[[], None]]:
    """Have a query for this process; what is yielded fails when it is not ours any more.

    Raises:
        TransientFailure: another process has it, or the ledger is away.
    """
    from psycopg import Error

    name, tried = settings.names.query(query.domain, query.entity), f"start query {query.name}"
    who = f"host {os.getpid()} on {socket.gethostname()}"

    def still_ours() -> None:
        try:
            still_held()
        except Error as error:
            raise TransientFailure(
                f"run query {query.name}",
                f"the ledger does not keep it for us any more: {error}".strip(),
                settings.mending("postgres", "ledger_dsn"),
                page="stream-query",
            ) from error

    try:
        with Postgres(settings, "ledger").lock(f"query {name}", tried, who) as still_held:
            yield still_ours
    except Held as held:
        raise TransientFailure(
            tried,
            f"another process runs it: {held.got}",
            "stop that one; until then nothing is missing, and after it this one goes on",
            page="stream-query",
        ) from None


def begin(
    settings: Settings,
    session: SparkSession,
    query: Query,
    still_ours: Callable[[], None],
    *,
    once: bool = False,
) -> StreamingQuery:
    """Start a query from its checkpoint, or from the oldest message of its topic.

    Args:
        settings: where everything is, and how often a batch begins.
        session: a classic driver.
        query: which one.
        still_ours: asked before each batch.
        once: end when all has been read that the topic has now.

    Raises:
        PermanentFailure: there is no topic, it was made anew, or the state has another shape.
        TransientFailure: a system was away.
    """
    topic = settings.names.topic(*query.reads.topic)
    state = Kafka(settings).topic_state(topic)
    if state is None:
        raise PermanentFailure(
            f"read topic {topic}",
            "there is no such topic",
            f"{settings.making} makes it",
            page="no-topic",
        )
    name = settings.names.query(query.domain, query.entity)
    checkpoint, batches = checkpoint_of(settings, session, query), Batches(settings, name)
    if known := checkpoint.query_id():
        batches.begin(known, state, query.shape)
    query.sink.prepare(settings, session)
    ours = known

    def take(rows: DataFrame, number: int) -> None:
        nonlocal ours
        still_ours()
        query_id = checkpoint.query_id()
        assert query_id is not None  # noqa: S101 - Spark has written it before its first batch
        if ours is None:
            batches.begin(query_id, state, query.shape)
            ours = query_id
        if query_id != ours:
            raise PermanentFailure(
                f"run query {query.name}",
                f"its checkpoint {checkpoint.uri} was begun anew by another process",
                f"`de-stack stream start {query.name}`, once that one is stopped",
                page="stream-query",
            )
        planned = checkpoint.planned(number)
        with broken_off_in_short():
            written = query.sink.write(settings, rows, Batch(name, query_id, number, query.mode))
        batches.enter(query_id, planned, written)

    result = query.transform(good_rows(settings, session, query, topic, state.topic_id))
    fits(query, result.columns)
    writer = (
        query.sink.shaped(result)
        .writeStream.queryName(name)
        .outputMode(query.mode)
        .option("checkpointLocation", checkpoint.uri)
        .foreachBatch(take)
    )
    if once:
        return writer.trigger(availableNow=True).start()
    interval_ms = int(settings.query_interval_seconds * 1000)
    return writer.trigger(processingTime=f"{interval_ms} milliseconds").start()


def fits(query: Query, columns: list[str]) -> None:
    """Refuse a rule whose columns are not those of its sink, in the sink's order.

    Spark plans the sink's columns together with the rule's, so their order is the order of what the
    state holds; of a checkpoint Spark compares the types and not the names. A sink with `min_price`
    where `max_price` was would go on with each for the other.

    Raises:
        PermanentFailure: they differ.
    """
    if columns != query.sink.takes:
        raise PermanentFailure(
            f"start query {query.name}",
            f"its rule gives {', '.join(columns)}; its sink takes {', '.join(query.sink.takes)}",
            "the same columns in the same order: mend the one that was changed last",
            page="stream-query",
        )


@contextmanager
def broken_off_in_short() -> Iterator[None]:
    """A batch that Spark has broken off, because its query is stopped, fails in one sentence.

    Spark recognises that by an expression which overflows its stack on Py4J's page of text, and
    then prints more pages. So it is given no more than what it looks for.
    """
    try:
        yield
    except Exception as error:
        if not any(word in str(error) for word in _STOPPED):
            raise
        log.info("batch broken off", extra={"why": str(error)[:500]})
        calling = "py4j.protocol.Py4JJavaError: An error occurred while calling a sink"
        raise InterruptedError(f"{calling}: java.lang.InterruptedException: stopped") from None


def good_rows(
    settings: Settings, session: SparkSession, query: Query, topic: str, topic_id: str
) -> DataFrame:
    """The messages of the topic that hold their contract, as a stream.

    Bad ones are left to the landing, which keeps them and says why.
    """
    from pyspark.sql import functions as f

    messages = (
        session.readStream.format("kafka")
        .options(**spark_options(settings))
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .option("maxOffsetsPerTrigger", settings.slice_max_rows)
        .option("includeHeaders", "true")
        .option("failOnDataLoss", "true")
        .load()
        .select(*_MESSAGE)
    )
    return (
        decoding.decoded(messages, query.reads, topic_id)
        .where("error is null")
        .select("event_id", "broker_time", "partition", "offset", "record.*")
        .withColumn(SEEN_AT, f.least(query.reads.event_time, "broker_time"))
    )
