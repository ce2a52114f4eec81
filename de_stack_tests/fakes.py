"""Stand-ins for the outside world, a few lines each.

Belongs here: fakes that more than one test file uses. Does not belong here: tests, real services.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from de_stack.failures import Failure
from de_stack.sources.collector.check import Message


class FakeProducer:
    """Keeps what it is given; acknowledges at once, or when told to (`holding`)."""

    def __init__(self, *, holding: bool = False) -> None:
        self.sent: list[tuple[str, Message]] = []
        self.waiting: list[Callable[[Failure | None], None]] = []
        self.holding, self.broken = holding, False
        self.away: Failure | None = None
        self.fates: dict[bytes, Failure] = {}
        self.closed: list[float] = []

    def prepare(self, topic: str) -> None:  # noqa: ARG002
        if self.away:
            raise self.away

    def send(self, topic: str, message: Message, settled: Callable[[Failure | None], None]) -> None:
        self.sent.append((topic, message))
        if self.holding:
            self.waiting.append(settled)
        else:
            settled(self.fates.get(message.value))

    def reach(self, seconds: float) -> None:  # noqa: ARG002
        if self.away:
            raise self.away

    def close(self, seconds: float) -> None:
        self.closed.append(seconds)


class FakeMeters:
    """Counts in memory."""

    def __init__(self) -> None:
        self.accepted_events: Counter[str] = Counter()
        self.kept_events: Counter[str] = Counter()
        self.rejects: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()

    def accepted(self, topic: str, events: int) -> None:
        self.accepted_events[topic] += events

    def kept(self, topic: str, events: int) -> None:
        self.kept_events[topic] += events

    def rejected(self, topic: str, code: str) -> None:  # noqa: ARG002
        self.rejects[code] += 1

    def answered(self, status: int) -> None:
        self.answers[status] += 1

    def page(self) -> tuple[bytes, str]:
        return b"counts", "text/plain"
