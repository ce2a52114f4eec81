"""kafka-python's producer in the shape that the door needs.

Belongs here: the client's settings and what its errors mean. Does not belong here: when to send.
"""

from __future__ import annotations

import contextlib
import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from de_stack.failures import Failure, PermanentFailure, TransientFailure
from de_stack.resources.kafka_answers import LastWords, what_to_do
from de_stack.sources.collector.check import Message

if TYPE_CHECKING:
    from kafka import KafkaProducer

    from de_stack.sources.collector.under_way import Settled

log = logging.getLogger(__name__)

# Together they keep a request under ten seconds: the client gives up before the door does.
OPTIONS = {
    "acks": "all",
    "enable_idempotence": True,
    "allow_auto_create_topics": False,
    "linger_ms": 5,
    "batch_size": 131072,
    "request_timeout_ms": 4000,
    "delivery_timeout_ms": 8000,
    "max_block_ms": 3000,
    "bootstrap_timeout_ms": 3000,
    "reconnect_backoff_max_ms": 1000,
    "metrics_enabled": False,
}


class TooLarge(PermanentFailure):
    """The topic takes no message of this size."""


class KafkaSender:
    """One open producer.

    Args:
        options: of kafka-python.
        why: why it cannot be opened, from what the client's log said.

    Raises:
        TransientFailure: no broker answered, or none that understood us.
        PermanentFailure: it refused us, or the settings are wrong.
    """

    def __init__(self, options: dict[str, Any], why: Callable[[str], str] = str) -> None:
        from kafka import KafkaProducer, errors
        from kafka.net.compat import KafkaNetClient

        self._where = f"Kafka at {','.join(options['bootstrap_servers'])}"
        self._clients: list[KafkaNetClient] = []
        self.broken = False

        def client(**config: Any) -> KafkaNetClient:
            # The producer has no public way to ask the broker a question: its client has.
            self._clients.append(KafkaNetClient(**config))
            return self._clients[-1]

        tried = f"open a producer for {self._where}"
        fix = "`de-stack status`; for a system of your own the DE_STACK_KAFKA_* settings"
        with LastWords() as said:
            try:
                self._producer: KafkaProducer = KafkaProducer(
                    **OPTIONS, **options, kafka_client=client
                )
            except errors.RetriableError as error:  # pyright: ignore[reportAttributeAccessIssue]
                # A failed bootstrap leaves its sockets open.
                with contextlib.suppress(Exception):
                    self._clients[-1].close()
                protocol = options.get("security_protocol", "PLAINTEXT")
                told = why(said.text)
                got = f"{error} ({protocol}); last it said: {told or 'nothing'}"
                if mending := what_to_do(told):
                    raise PermanentFailure(tried, got, mending) from error
                raise TransientFailure(tried, got, fix) from error
            except (errors.KafkaError, ValueError, OSError) as error:
                raise PermanentFailure(tried, repr(error), fix) from error

    def prepare(self, topic: str) -> None:
        """Learn where the topic's partitions are.

        Raises:
            Failure: nobody answered, or there is no such topic.
        """
        from kafka.errors import KafkaError

        try:
            self._producer.partitions_for(topic)
        except KafkaError as error:
            raise self._failure(f"find topic {topic}", error) from error

    def send(self, topic: str, message: Message, settled: Settled) -> None:
        """Put a message into the next batch; `settled` is called once, from any thread."""
        from kafka.errors import KafkaError

        def failed(error: Exception) -> None:
            failure = self._failure(f"produce to {topic}", error)
            # kafka-python 3.0.12 drops its producer id when a batch expires and never gets
            # another (`reset_producer_id` leaves the state READY): it would hold all later ones.
            self.broken = self.broken or not isinstance(failure, TooLarge)
            settled(failure)

        try:
            future = self._producer.send(
                topic, value=message.value, key=message.key, headers=message.headers
            )
        except (KafkaError, ValueError) as error:
            failed(error)
            return
        future.add_callback(lambda _metadata: settled(None))
        future.add_errback(failed)

    def reach(self, seconds: float) -> None:
        """Have the broker answer one question.

        Raises:
            Failure: it did not within `seconds`.
        """
        answered = threading.Event()
        future = self._clients[-1].cluster.request_update()
        future.add_both(lambda _: answered.set())
        self._clients[-1].wakeup()
        if not answered.wait(seconds):
            raise TransientFailure(f"reach {self._where}", f"no answer within {seconds:g} s")
        if future.exception is not None:
            raise self._failure(f"reach {self._where}", future.exception)

    def close(self, seconds: float) -> None:
        """Flush for at most `seconds`, then close whatever is left open."""
        from kafka.errors import KafkaError

        try:
            self._producer.close(timeout=seconds)
        except KafkaError as error:
            log.warning("closed with messages unsent", extra={"reason": error})
            # `close` leaves the thread running when its flush fails, and the messages unsettled.
            self._producer._sender.force_close()  # pyright: ignore[reportAttributeAccessIssue]

    def _failure(self, tried: str, error: BaseException) -> Failure:
        from kafka import errors

        got = f"{type(error).__name__}: {error}"
        if isinstance(error, errors.MessageSizeTooLargeError | errors.RecordListTooLargeError):
            return TooLarge(tried, got)
        if isinstance(error, errors.RetriableError):  # pyright: ignore[reportAttributeAccessIssue]
            return TransientFailure(tried, got)
        # Whatever else it is, it is not about one message: a new producer is a new beginning.
        self.broken = True
        return TransientFailure(tried, got)
