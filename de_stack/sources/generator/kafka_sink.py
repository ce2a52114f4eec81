"""Events -> a Kafka topic, without the collector in between.

Belongs here: key and headers of each, which of a batch have arrived. Does not belong here: the
client (`resources.kafka_bulk`), retries (`run.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from de_stack.contracts.envelope import event_headers
from de_stack.failures import TransientFailure
from de_stack.sources.generator.events import Event
from de_stack.sources.generator.sinks import SOURCE, Sent

if TYPE_CHECKING:
    from de_stack.resources.kafka_bulk import BulkProducer


class Topic:
    """Sends to one topic. A producer that has failed is replaced at the next batch."""

    def __init__(self, open_producer: Callable[[], BulkProducer], topic: str, kind: str) -> None:
        self._open, self._topic, self._kind = open_producer, topic, kind
        self._producer: BulkProducer | None = None

    def send(self, events: Sequence[Event]) -> Sent:
        """Produce, and wait until the broker has acknowledged all, or the client gave some up.

        Raises:
            TransientFailure: none was acknowledged.
            PermanentFailure: the broker refused one, or us.
        """
        producer = self._producer = self._producer or self._open()
        left = dict(enumerate(events))
        try:
            for number, event in enumerate(events):
                headers = event_headers(event.id, SOURCE, self._kind, event.time, event.media)
                settled = partial(_settle, left, number)
                producer.send(self._topic, event.key, event.data, headers, settled)
            producer.flush()
        except TransientFailure:
            self.close()
            if len(left) == len(events):
                raise
            return Sent(again=list(left.values()))
        except BaseException:
            self.close()
            raise
        return Sent()

    def close(self) -> None:
        """Let go of the producer."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None


def _settle(left: dict[int, Event], number: int, _partition: int, _offset: int) -> None:
    left.pop(number, None)
