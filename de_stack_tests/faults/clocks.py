"""Topics whose messages carry the producer's clock, and messages at chosen times.

Belongs here: turning a topic of the test's namespace to CreateTime, sending with a timestamp. Does
not belong here: what comes of it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from kafka import KafkaProducer

from de_stack.contracts import load_stream
from de_stack.resources.kafka import Kafka, client_options
from de_stack.settings import Settings

STREAM = load_stream("telemetry.measures")


def producers_clock(settings: Settings) -> None:
    """Let producers stamp the measures, with any time at all."""
    topic = settings.names.topic(*STREAM.topic)
    config = {
        "message.timestamp.type": "CreateTime",
        "message.timestamp.after.max.ms": str(2**63 - 1),
    }
    Kafka(settings).ensure_topic(topic, STREAM.partitions, 1, config)


def send(settings: Settings, messages: Iterable[tuple[dict[str, Any], datetime | int]]) -> None:
    """Send each measure with its stamp: a time, or milliseconds; -1 is Kafka's "no timestamp"."""
    topic = settings.names.topic(*STREAM.topic)
    # A batch has one base time, from which later ones count: one message per batch.
    with KafkaProducer(**client_options(settings), linger_ms=0) as producer:
        for message, stamp in messages:
            ms = stamp if isinstance(stamp, int) else int(stamp.timestamp() * 1000)
            producer.send(
                topic,
                json.dumps(message).encode(),
                key=message["source_id"].encode(),
                headers=[("ce_id", str(uuid.uuid4()).encode())],
                timestamp_ms=ms,
            )
            producer.flush(timeout=30)
