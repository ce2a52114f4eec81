"""Messages -> Kafka, and what became of each, without ever blocking the event loop.

Belongs here: the one producer of this process, the limit on what is under way, deadlines. Does not
belong here: HTTP, and what a Kafka client looks like (`kafka_producer.py`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from de_stack.failures import Failure, TransientFailure
from de_stack.sources.collector.check import Message
from de_stack.sources.collector.under_way import Budget, Parcel, Producer

log = logging.getLogger(__name__)


class Busy(TransientFailure):
    """As many bytes are under way as may be."""


class Door:
    """Sends messages through one producer, which is opened on first use and again when it broke."""

    def __init__(
        self,
        open_producer: Callable[[], Producer],
        budget: Budget,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open, self._budget, self._clock = open_producer, budget, clock
        self._producer: Producer | None = None
        # Why it could not be opened the last time: to find out may take longer than who asks waits.
        self._why: Failure | None = None
        self._lock = threading.Lock()
        # After a failure the next requests are told so at once instead of queueing to find out.
        self._refused: dict[str, tuple[float, Failure]] = {}
        # One thread: messages of a client reach the producer in the order of its requests.
        self._pool = ThreadPoolExecutor(1, "hand-over")

    async def send(
        self, topic: str, messages: Sequence[Message], seconds: float
    ) -> list[Failure | None]:
        """Send all and wait for Kafka; per message None (acknowledged) or what went wrong.

        What fails with `TransientFailure` may still arrive: send it again with the same id.
        """
        if not messages:
            return []
        size = sum(len(m.value) for m in messages)
        if not self._budget.take(size):
            busy = Busy("take the events in", "too many bytes are under way")
            return [busy] * len(messages)
        # The bytes stay counted until the producer lets go of them, however long that takes.
        parcel = Parcel(len(messages), lambda: self._budget.give(size))
        until = self._clock() + seconds
        self._pool.submit(self._hand_over, topic, messages, parcel, until)
        try:
            await asyncio.wait_for(asyncio.shield(parcel.done), seconds)
        except TimeoutError:
            # It should have given up before us: it is stuck, and a retry there would be stuck too.
            if parcel.holder is not None:
                parcel.holder.broken = True
        return parcel.results()

    def _hand_over(
        self, topic: str, messages: Sequence[Message], parcel: Parcel, until: float
    ) -> None:
        try:
            if self._clock() >= until:
                parcel.fail(TransientFailure("produce", "the request's time was over in the queue"))
                return
            producer = parcel.holder = self._ready(topic)
        except Failure as failure:
            parcel.fail(failure)
            return
        for index, message in enumerate(messages):
            producer.send(topic, message, parcel.settler(index))

    def _ready(self, topic: str) -> Producer:
        with self._lock:
            not_before, failure = self._refused.get(topic, (0.0, None))
            if failure and self._clock() < not_before:
                raise failure
            try:
                producer = self._opened()
                producer.prepare(topic)
            except Failure as error:
                self._refused[topic] = (self._clock() + 1.0, error)
                raise
            return producer

    def _opened(self) -> Producer:
        if self._producer is not None and self._producer.broken:
            log.warning("the producer broke: opening another")
            self._producer.close(0.0)
            self._producer = None
        if self._producer is None:
            try:
                self._producer, self._why = self._open(), None
            except Failure as failure:
                self._why = failure
                raise
        return self._producer

    async def reach(self, seconds: float) -> None:
        """Ask the broker something.

        Raises:
            Failure: it did not answer in time, or its producer cannot be opened.
        """

        def ask() -> None:
            with self._lock:
                producer = self._opened()
            producer.reach(seconds)

        try:
            await asyncio.wait_for(asyncio.to_thread(ask), seconds + 1.0)
        except TimeoutError as error:
            if self._why is not None:
                raise self._why from error
            raise TransientFailure("reach Kafka", f"no answer within {seconds:g} s") from error

    def close(self, seconds: float) -> None:
        """Hand over what is queued, flush for at most `seconds`, let go."""
        self._pool.shutdown(wait=True)
        if self._producer is not None:
            self._producer.close(seconds)
