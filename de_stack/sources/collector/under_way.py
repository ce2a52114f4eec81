"""What has been taken in and is not settled yet: how many bytes, which messages, in whose hands.

Belongs here: keeping account, and the form of a producer. Does not belong here: sending.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from typing import Protocol

from de_stack.failures import Failure, TransientFailure
from de_stack.sources.collector.check import Message

# Called once per message, from any thread: None = Kafka has acknowledged it.
Settled = Callable[[Failure | None], None]


class Producer(Protocol):
    """What the door needs of Kafka. All but `send` raise `Failure`.

    broken: it will not get well by itself and has to be replaced.
    """

    broken: bool

    def prepare(self, topic: str) -> None:
        """Find the topic; may block for seconds."""
        ...

    def send(self, topic: str, message: Message, settled: Settled) -> None:
        """Queue a message; never blocks once `prepare` has returned for its topic."""
        ...

    def reach(self, seconds: float) -> None:
        """Ask the broker something; blocks for at most `seconds`."""
        ...

    def close(self, seconds: float) -> None:
        """Flush for at most `seconds`, then let go."""
        ...


class Budget:
    """How many bytes may be under way at once, over all requests."""

    def __init__(self, limit: int) -> None:
        self._limit, self.used = limit, 0
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Reserve; False when there is no room."""
        with self._lock:
            if self.used + size > self._limit:
                return False
            self.used += size
            return True

    def give(self, size: int) -> None:
        """Give back."""
        with self._lock:
            self.used -= size


class Parcel:
    """The outcomes of one request's messages, filled from Kafka's threads, awaited in the loop."""

    def __init__(self, count: int, settled: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self.done: asyncio.Future[None] = self._loop.create_future()
        self.holder: Producer | None = None
        self._lock = threading.Lock()
        self._open, self._settled = count, settled
        late = TransientFailure("produce", "Kafka did not acknowledge in time")
        self._results: list[Failure | None] = [late] * count

    def settler(self, index: int) -> Settled:
        """What is to be called when message number `index` is settled."""
        return lambda failure: self._settle(index, failure)

    def fail(self, failure: Failure) -> None:
        """Settle all of them."""
        for index in range(len(self._results)):
            self._settle(index, failure)

    def results(self) -> list[Failure | None]:
        """What is known now; an acknowledgement that comes later no longer counts."""
        with self._lock:
            return list(self._results)

    def _settle(self, index: int, failure: Failure | None) -> None:
        with self._lock:
            self._results[index] = failure
            self._open -= 1
            last = self._open == 0
        if last:
            self._settled()
            # The loop is gone when a producer settles its last messages after the server stopped.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._finish)

    def _finish(self) -> None:
        if not self.done.done():
            self.done.set_result(None)
