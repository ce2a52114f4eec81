"""Kafka: messages. Sent in one transaction of a name that only one sender has; read by offsets.

Belongs here: the fenced producer, reading a range. Does not belong here: topics and offsets
(`kafka.py`), what errors mean (`kafka_answers.py`), what is sent and why (`flow.replay`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.resources.kafka import DEADLINE_MS, client_options
from de_stack.resources.kafka_answers import understood

if TYPE_CHECKING:
    from de_stack.settings import Settings

_TIMEOUT_S = 30
_QUIET_S = 20.0
# For a message with neither key nor value. Brokers take it, and other clients send it; kafka-python
# refuses it before it asks the serializer, which then says what is sent.
_NOTHING = object()


@dataclass(frozen=True)
class Message:
    """One message to send, or one that was read (then with its place)."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]]
    partition: int = -1
    offset: int = -1


class FencedProducer:
    """A producer in whose name nobody else can send any more, not even what is on its way.

    Opening it ends every transaction that an earlier holder of the name left open: what the topic
    shows from then on up to its last stable offset is all that there will be of them.
    """

    def __init__(self, producer: Any) -> None:
        self._producer = producer

    def send(self, topic: str, messages: Sequence[Message]) -> list[tuple[int, int]]:
        """Send all or none, in one transaction; (partition, offset) of each."""
        producer = self._producer
        producer.begin_transaction()
        try:
            futures = [
                producer.send(
                    topic,
                    _NOTHING if m.value is None else m.value,
                    key=m.key,
                    headers=m.headers,
                )
                for m in messages
            ]
            producer.flush(timeout=_TIMEOUT_S)
            found = [future.get(timeout=_TIMEOUT_S) for future in futures]
        except BaseException:
            producer.abort_transaction()
            raise
        producer.commit_transaction()
        return [(f.partition, f.offset) for f in found]


@contextmanager
def fenced_producer(settings: Settings, name: str, tried: str) -> Iterator[FencedProducer]:
    """The producer of a name; whoever had it before is shut out.

    Raises:
        PermanentFailure: the broker refused a message, or us.
        TransientFailure: it was away, or somebody took the name over.
    """
    from kafka import KafkaProducer, errors
    from kafka.serializer import Serializer

    class AsGiven(Serializer):
        # The published types have another signature than the client.
        def serialize(self, topic: str, headers: Any, data: Any) -> Any:  # type: ignore  # noqa: ARG002
            return None if data is _NOTHING else data

    producer = None
    with understood(settings, tried):
        try:
            producer = KafkaProducer(
                **client_options(settings),
                transactional_id=name,
                value_serializer=AsGiven(),
                acks="all",
                allow_auto_create_topics=False,
                max_block_ms=_TIMEOUT_S * 1000,
                bootstrap_timeout_ms=DEADLINE_MS,  # type: ignore[call-arg]
            )
            producer.init_transactions()
            yield FencedProducer(producer)
        except (errors.MessageSizeTooLargeError, errors.RecordListTooLargeError) as error:
            raise PermanentFailure(
                tried, f"{type(error).__name__}: {error}", page="access-refused"
            ) from error
        finally:
            if producer is not None:
                producer.close(timeout=_TIMEOUT_S)


def read_range(
    settings: Settings, topic: str, start: dict[int, int], end: dict[int, int]
) -> Iterator[Message]:
    """Committed messages of a topic, per partition from `start` to before `end`.

    Raises:
        PermanentFailure: the broker refused us.
        TransientFailure: the broker was away, or nothing came for a while.
    """
    from kafka import KafkaConsumer
    from kafka.structs import TopicPartition

    tried = f"read topic {topic}"
    wanted = {TopicPartition(topic, p): e for p, e in end.items() if e > start[p]}
    if not wanted:
        return
    with understood(settings, tried):
        consumer = KafkaConsumer(
            **client_options(settings),
            isolation_level="read_committed",
            enable_auto_commit=False,
            auto_offset_reset="none",  # type: ignore[arg-type]
            bootstrap_timeout_ms=DEADLINE_MS,  # type: ignore[call-arg]
        )
        try:
            consumer.assign(list(wanted))
            for part in wanted:
                consumer.seek(part, start[part.partition])
            heard = time.monotonic()
            # Markers of transactions take offsets too: positions tell the end, not messages.
            while any((consumer.position(p) or 0) < stop for p, stop in wanted.items()):
                batches = consumer.poll(timeout_ms=500)
                if batches:
                    heard = time.monotonic()
                elif time.monotonic() > heard + _QUIET_S:
                    raise TransientFailure(
                        tried, f"nothing came for {_QUIET_S:g} s", page="system-away"
                    )
                for records in batches.values():
                    for r in records:
                        if r.offset < wanted[TopicPartition(topic, r.partition)]:
                            yield Message(r.key, r.value, [*r.headers], r.partition, r.offset)
        finally:
            consumer.close()
