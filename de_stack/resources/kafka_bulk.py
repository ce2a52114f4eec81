"""Kafka: many messages, fast. librdkafka's idempotent producer.

Belongs here: its configuration from settings, what its errors mean. Does not belong here: topics
and offsets (`kafka.py`), transactions and reading (`kafka_messages.py`), what is sent.

kafka-python is pure Python and sends some thousands of messages per second of a core; librdkafka
sends hundreds of thousands. The partitioner is Java's and kafka-python's (murmur2), so that a key
has one partition whoever sends it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from de_stack.failures import Failure, PermanentFailure, TransientFailure
from de_stack.resources.kafka_answers import RIGHTS, mending, what_to_do
from de_stack.resources.kafka_login import librdkafka_options

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message

    from de_stack.settings import Settings

# (partition, offset) of a message that the broker has acknowledged.
Acknowledged = Callable[[int, int], None]
# Of a message that the broker, or librdkafka, will never take.
_REFUSED = frozenset(("MSG_SIZE_TOO_LARGE", "INVALID_MSG_SIZE", "INVALID_MSG", "INVALID_RECORD"))
# Of a broker that does not want us, or not there.
_NO_RIGHT = frozenset(("TOPIC_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED"))
_FORBIDDEN = _NO_RIGHT | frozenset(
    (
        "SASL_AUTHENTICATION_FAILED",
        "_AUTHENTICATION",
        "_UNKNOWN_TOPIC",
        "UNKNOWN_TOPIC_OR_PART",
        "_INVALID_ARG",
    )
)


def client_options(settings: Settings) -> dict[str, Any]:
    """Librdkafka's options that lead to the cluster of the settings."""
    return {"bootstrap.servers": settings.need("kafka_bootstrap"), **librdkafka_options(settings)}


class BulkProducer:
    """Sends in the background; what failed is raised by the next call, at the latest by `flush`.

    Messages of one key keep their order. A message is sent for `patience_s` seconds before it has
    failed; librdkafka repeats it without doubling it.
    """

    def __init__(self, settings: Settings, tried: str, patience_s: float = 60.0) -> None:
        from confluent_kafka import KafkaException, Producer

        self._refusal = KafkaException
        self._tried = tried
        self._mending = mending(settings)
        self._failure: Failure | None = None
        self._producer = Producer(
            {
                **client_options(settings),
                "acks": "all",
                "enable.idempotence": True,
                "partitioner": "murmur2_random",
                "allow.auto.create.topics": False,
                "linger.ms": 5,
                # Who reads letters that were sent again has no library for more than gzip.
                "compression.type": "none",
                "message.max.bytes": 2_000_000,
                "queue.buffering.max.kbytes": 65_536,
                "message.timeout.ms": round(patience_s * 1000),
                "topic.metadata.propagation.max.ms": 5000,
                "log_level": 0,
                "error_cb": self._said,
            }
        )
        self._last_words = ""

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
        acknowledged: Acknowledged | None = None,
    ) -> None:
        """Queue a message; waits while the queue is full. `acknowledged` is called by later calls.

        Raises:
            TransientFailure: an earlier message was not acknowledged in time.
            PermanentFailure: the broker refused one, or us.
        """

        def settled(error: KafkaError | None, message: Message) -> None:
            if error is not None:
                self._failure = self._failure or self._meaning(error)
            elif acknowledged is not None:
                partition, offset = message.partition(), message.offset()
                assert partition is not None and offset is not None  # noqa: S101 - it has arrived
                acknowledged(partition, offset)

        while True:
            try:
                self._producer.produce(topic, value, key, headers=[*headers], on_delivery=settled)
                break
            except BufferError:
                self._producer.poll(0.1)
                self._raise()
            except self._refusal as error:
                raise self._meaning(error.args[0]) from error
        self._producer.poll(0)
        self._raise()

    def poll(self) -> None:
        """Call what is due of `acknowledged`, for who has nothing to send meanwhile.

        Raises:
            Failure: as `send`.
        """
        self._producer.poll(0)
        self._raise()

    def flush(self, seconds: float | None = None) -> None:
        """Wait until everything is acknowledged, `seconds` at most.

        Raises:
            TransientFailure: not all was acknowledged in time.
            PermanentFailure: the broker refused one, or us.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while left := self._producer.flush(0.2):
            self._raise()
            if until is not None and time.monotonic() > until:
                got = f"{left} messages were not acknowledged; {self._last_words or 'no error'}"
                raise TransientFailure(self._tried, got, self._mending, page="system-away")
        self._raise()

    def close(self) -> None:
        """Give up what is not acknowledged yet."""
        self._producer.purge()
        self._producer.flush(1)

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _said(self, error: KafkaError) -> None:
        # That all are down it says after it has said why.
        if error.name() != "_ALL_BROKERS_DOWN" or not self._last_words:
            self._last_words = error.str()
        if error.fatal() or error.name() == "_INVALID_ARG" or what_to_do(error.str()):
            self._failure = self._failure or self._meaning(error)

    def _meaning(self, error: KafkaError) -> Failure:
        got = f"{error.name()}: {error.str()}"
        fix = RIGHTS if error.name() in _NO_RIGHT else what_to_do(got)
        if fix or error.name() in _REFUSED | _FORBIDDEN:
            return PermanentFailure(self._tried, got, fix, page="access-refused")
        if self._last_words and self._last_words not in got:
            got += f"; {self._last_words}"
        return TransientFailure(self._tried, got, self._mending, page="system-away")


@contextmanager
def bulk_producer(
    settings: Settings, tried: str, patience_s: float = 60.0
) -> Iterator[BulkProducer]:
    """A producer that is flushed at the end of a block that went well, and closed in any case."""
    producer = BulkProducer(settings, tried, patience_s)
    try:
        yield producer
        producer.flush()
    finally:
        producer.close()
