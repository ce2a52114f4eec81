"""The topic of the landing workload: JSON measures of about 170 bytes, some of them bad.

Belongs here: making it, and how to read all of it once. Does not belong here: what is done with
the messages.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from de_stack.settings import Settings

PARTITIONS = 4
# One in so many messages is bad; no multiple of the partitions, so that each has some.
BAD_EVERY = 199
_METRICS = ("temperature", "vibration", "power")
_BATCH = 10_000


def make(settings: Settings, topic: str, messages: int) -> float:
    """Make the topic and fill it; the mean size of a message in bytes."""
    from confluent_kafka import Producer

    from de_stack.resources.kafka import Kafka

    config = {"message.timestamp.type": "LogAppendTime"}
    Kafka(settings).ensure_topic(topic, PARTITIONS, 1, config)
    producer = Producer(
        {
            "bootstrap.servers": settings.need("kafka_bootstrap"),
            "linger.ms": 50,
            "batch.size": 1 << 20,
            "queue.buffering.max.messages": 1_000_000,
        }
    )
    size = 0
    for number, (key, value) in enumerate(_messages(messages)):
        size += len(value or b"")
        headers: list[tuple[str, str | bytes | None]] = [("ce_id", b"%032x" % number)]
        while True:
            try:
                producer.produce(topic, value, key, number % PARTITIONS, headers=headers)
                break
            except BufferError:
                producer.poll(0.05)
        if number % _BATCH == 0:
            producer.poll(0)
    if left := producer.flush(120):
        raise SystemExit(f"{left} messages did not reach Kafka")
    return size / messages


def _messages(count: int) -> Iterator[tuple[bytes, bytes | None]]:
    chance, now = random.Random(4), datetime.now(UTC)
    for number in range(count):
        # Measured over the last three hours: three event hours, or four.
        at = now - timedelta(seconds=chance.randrange(10_800), microseconds=number)
        key = b"press-%02d" % (number % 50)
        value = b'{"source_id":"%s","metric":"%s","value":%.4f,"measured_at":"%s",%s}' % (
            key,
            _METRICS[number % 3].encode(),
            chance.gauss(60, 8),
            at.isoformat().replace("+00:00", "Z").encode(),
            b'"site":"hall-%d","unit":"celsius","batch":%d,"firmware":"4.11.%d"'
            % (number % 9, number // 50, number % 7),
        )
        yield key, _bad(value, number // BAD_EVERY) if number % BAD_EVERY == 7 else value


def _bad(value: bytes, number: int) -> bytes | None:
    kinds = (
        value[:-1],
        value + b"x",
        value.replace(b'"value":', b'"value":NaN,"v":'),
        value.replace(b'"value":', b'"value":"hot","v":'),
        value.replace(b'"value":', b'"value":1e13,"v":'),
        value.replace(b'"metric"', b'"metrics"'),
        value.replace(b'"site":', b'"metric":"twice","site":'),
        value.replace(b"celsius", b"\xff"),
        value.replace(b'"measured_at":"20', b'"measured_at":"19'),
        value.replace(b'"measured_at":"20', b'"measured_at":"21'),
        None,
    )
    return kinds[number % len(kinds)]


def drain(
    bootstrap: str, topic: str, begin: Mapping[int, int] | None = None
) -> Iterator[list[Any]]:
    """All messages of the topic as confluent-kafka gives them, in batches; from offsets on."""
    from confluent_kafka import Consumer, TopicPartition

    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "benchmark",
            "enable.auto.commit": False,
            # One message cannot be asked for alone; its end is known from the offsets.
            "enable.partition.eof": False,
        }
    )
    known, begin = consumer.list_topics(topic, timeout=10).topics[topic].partitions, begin or {}
    parts = [TopicPartition(topic, p, begin.get(p, 0)) for p in known]
    left = sum(consumer.get_watermark_offsets(p, timeout=10)[1] - p.offset for p in parts)
    consumer.assign(parts)
    end = time.monotonic() + 600
    while left and time.monotonic() < end:
        if batch := consumer.consume(_BATCH, timeout=1.0):
            left -= len(batch)
            yield batch
    consumer.close()
    if left:
        raise SystemExit(f"{left} messages were not there after 600 s")


def say(**found: Any) -> None:
    """The last line of a peer."""
    print(json.dumps(found))
