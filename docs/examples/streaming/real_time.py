"""Kafka to Kafka as fast as this Spark can: real-time mode, continuous processing, micro-batches.

    python docs/examples/streaming/real_time.py                # needs the stack's Kafka: make demo
    python docs/examples/streaming/real_time.py --seconds 30 --rate 200

Each form is tried, in this order: a form that is refused is named with the reason, the others pass
records from one topic to another without a change. A record's latency is the time that the broker
stamped on what came out, less the one on what went in: one clock, and nothing of this program in
it.

Belongs here: which trigger runs, how long a record takes. Does not belong here: state (real-time
mode of this Spark and continuous processing have none).
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from pyspark.errors import PySparkException
from pyspark.sql import SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from running import arguments, folder, say, session

from de_stack.failures import Failure
from de_stack.resources.kafka import Kafka, client_options
from de_stack.resources.kafka_login import java_options
from de_stack.settings import Settings

# The duration of real-time mode and of continuous is how often they commit, not how long a record
# waits. Real-time mode takes no less than five seconds.
TRIGGERS = {
    "real-time": {"realTime": "5 seconds"},
    "continuous": {"continuous": "1 second"},
    "micro-batch": {"processingTime": "0 seconds"},
}
WARM_UP = 20
_STAMPED = {"message.timestamp.type": "LogAppendTime"}
_DEADLINE_S = 30


class Latency(NamedTuple):
    """Milliseconds between the broker's stamps of so many records."""

    records: int
    p50: int
    p99: int
    longest: int


@contextmanager
def topics(settings: Settings) -> Iterator[tuple[str, str]]:
    """Two new topics of one partition: each partition holds a core as long as the query runs."""
    kafka, name = Kafka(settings), f"example-{uuid.uuid4()}"
    both = (f"{name}-in", f"{name}-out")
    try:
        for topic in both:
            kafka.ensure_topic(topic, 1, settings.kafka_replicas, _STAMPED)
        yield both
    finally:
        with kafka.admin("delete the example's topics") as client:
            client.delete_topics(list(both))


def query(
    spark: SparkSession, settings: Settings, both: tuple[str, str], mode: str, place: Path
) -> StreamingQuery:
    """Pass key and value from the first topic to the second."""
    servers = {"bootstrap.servers": settings.need("kafka_bootstrap"), **java_options(settings)}
    options = {f"kafka.{name}": value for name, value in servers.items()}
    source = spark.readStream.format("kafka").options(**options).option("subscribe", both[0])
    rows = source.option("startingOffsets", "earliest").load().select("key", "value")
    # Real-time mode asks for `update`; where nothing is aggregated it is the same as `append`.
    writer = rows.writeStream.format("kafka").options(**options).option("topic", both[1])
    writer = writer.outputMode("update").option("checkpointLocation", str(place / mode))
    return writer.trigger(**TRIGGERS[mode]).start()


def send(settings: Settings, topic: str, first: int, count: int, rate: float) -> None:
    """Records with keys from `first` on, evenly spread, each sent by itself."""
    from kafka import KafkaProducer

    producer = KafkaProducer(**client_options(settings))
    began = time.monotonic()
    for number in range(count):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        producer.send(topic, b"a trade", key=str(first + number).encode())
    producer.close()


def stamps(settings: Settings, topic: str, wanted: int, running: StreamingQuery) -> dict[int, int]:
    """The broker's time, in milliseconds, of each key of a topic, once `wanted` keys are there."""
    from kafka import KafkaConsumer
    from kafka.structs import TopicPartition

    consumer = KafkaConsumer(**client_options(settings), auto_offset_reset="earliest")
    consumer.assign([TopicPartition(topic, 0)])
    found: dict[int, int] = {}
    deadline = time.monotonic() + _DEADLINE_S
    try:
        while len(found) < wanted:
            if error := running.exception():
                raise error
            if time.monotonic() > deadline:
                raise TimeoutError(f"{len(found)} of {wanted} records after {_DEADLINE_S} s")
            for records in consumer.poll(timeout_ms=200).values():
                for record in records:
                    # A sink of Kafka may write a record twice after a failure: the first counts.
                    found.setdefault(int(record.key), record.timestamp)
    finally:
        consumer.close()
    return found


def run(
    spark: SparkSession, settings: Settings, place: Path, mode: str, count: int, rate: float
) -> Latency | str:
    """Latency of `count` records in one form, or why it does not run here."""
    with topics(settings) as both:
        try:
            running = query(spark, settings, both, mode, place)
        except PySparkException as error:
            return str(error).splitlines()[0]
        try:
            # The first records wait for what is started and compiled once.
            send(settings, both[0], 0, WARM_UP, rate)
            stamps(settings, both[1], WARM_UP, running)
            send(settings, both[0], WARM_UP, count, rate)
            out = stamps(settings, both[1], WARM_UP + count, running)
            went_in = stamps(settings, both[0], WARM_UP + count, running)
        except PySparkException as error:
            # A form may be refused only when its first batch is planned.
            return str(error).splitlines()[0]
        finally:
            running.stop()
    took = sorted(out[key] - went_in[key] for key in out if key >= WARM_UP)
    return Latency(len(took), took[len(took) // 2], took[len(took) * 99 // 100], took[-1])


def main() -> None:
    """All three forms."""
    parser = arguments(__doc__)
    parser.add_argument("--seconds", type=float, default=10, help="of records, for each form")
    parser.add_argument("--rate", type=float, default=100, help="records per second")
    given = parser.parse_args()
    count, best = int(given.seconds * given.rate), None
    try:
        with folder() as place, session(given.remote, needs_kafka=True) as spark:
            for mode in TRIGGERS:
                said = run(spark, Settings(), place, mode, count, given.rate)
                if isinstance(said, str):
                    say(f"{mode:12} refused: {said}")
                    continue
                best = best or mode
                say(f"{mode:12} p50 {said.p50} ms, p99 {said.p99} ms, longest {said.longest} ms")
            say(f"of {count} records each, {given.rate:g} per second; the first that runs: {best}")
    except Failure as error:
        raise SystemExit(str(error)) from error


if __name__ == "__main__":
    main()
