"""Messages of a file -> Kafka, at a rate or as fast as it goes.

Belongs here: the loop, its pace, what was acknowledged where. Does not belong here: what a message
is (`records.py`), the producer (`resources.kafka_bulk`), printing.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from de_stack.sources.replay.records import Event

AT_ONCE = 5000
_NAP_S = 0.2


class Producer(Protocol):
    """What is needed of `resources.kafka_bulk.BulkProducer`."""

    def send(
        self,
        topic: str,
        key: bytes | None,
        value: bytes | None,
        headers: list[tuple[str, bytes]],
        acknowledged: Callable[[int, int], None] | None = None,
    ) -> None:
        """Queue a message."""
        ...

    def poll(self) -> None:
        """Hear of what was acknowledged meanwhile."""
        ...

    def flush(self, seconds: float | None = None) -> None:
        """Wait until everything is acknowledged."""
        ...


@dataclass(frozen=True)
class World:
    """Clock (monotonic seconds), sleep, and whether somebody wants an end."""

    clock: Callable[[], float]
    sleep: Callable[[float], None]
    is_stopped: Callable[[], bool]


@dataclass
class Sent:
    """What became of a file's rows.

    `spans` are, per partition, the first offset and the one after the last. `refused` counts rows
    against the contract by code, `first_refused` is the first of them with its error. `unsendable`
    are rows that are too large for a message, each with its bytes; `good` those that were sent and
    that the contract allows.
    """

    rows: int = 0
    good: int = 0
    acknowledged: int = 0
    spans: dict[int, tuple[int, int]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)
    first_refused: tuple[int, str] | None = None
    unsendable: list[tuple[int, int]] = field(default_factory=list)
    is_whole: bool = False

    def acknowledge(self, partition: int, offset: int) -> None:
        """A message has its place."""
        self.acknowledged += 1
        low, end = self.spans.get(partition, (offset, offset))
        self.spans[partition] = (min(low, offset), max(end, offset + 1))


def at_once(rate: float | None) -> int:
    """Rows that are made ready together: at a low rate a second's, for a clock that goes on."""
    return AT_ONCE if rate is None else max(1, min(AT_ONCE, int(rate)))


def send(
    batches: Iterable[Iterable[Event]],
    producer: Producer,
    topic: str,
    world: World,
    rate: float | None = None,
    progress: Callable[[Sent], None] = lambda _: None,
    sent: Sent | None = None,
) -> Sent:
    """Send all, in order. Where somebody wants an end, what was queued is still acknowledged.

    Args:
        batches: messages.
        producer: where they go.
        topic: the topic's name.
        world: clock and signals.
        rate: messages per second.
        progress: is told after each batch.
        sent: is filled as it goes, for who wants to know after a failure.

    Raises:
        TransientFailure: Kafka was away for too long.
        PermanentFailure: it refused a message, or us.
    """
    sent = Sent() if sent is None else sent
    began = world.clock()
    for batch in batches:
        for event in batch:
            if rate is not None:
                _until(began + sent.rows / rate, producer, world)
                if world.is_stopped():
                    break
            _send(event, producer, topic, sent)
        progress(sent)
        if world.is_stopped():
            break
    else:
        sent.is_whole = True
    producer.flush()
    progress(sent)
    return sent


def _send(event: Event, producer: Producer, topic: str, sent: Sent) -> None:
    sent.rows += 1
    if event.error is not None:
        sent.refused[event.error.partition(":")[0]] += 1
        sent.first_refused = sent.first_refused or (event.row, event.error)
    if event.is_sendable:
        sent.good += event.error is None
        producer.send(topic, event.key, event.value, event.headers, sent.acknowledge)
    else:
        sent.unsendable.append((event.row, len(event.value)))


def _until(due: float, producer: Producer, world: World) -> None:
    while (left := due - world.clock()) > 0 and not world.is_stopped():
        producer.poll()
        world.sleep(min(left, _NAP_S))
