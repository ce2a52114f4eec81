"""The loop: how many events are due, make them, deliver them, wait.

Belongs here: rate and retries. Does not belong here: what an event is, how it is sent, signals.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from de_stack.failures import TransientFailure
from de_stack.sources.generator.events import Event, Events
from de_stack.sources.generator.sinks import Sink

log = logging.getLogger(__name__)

TICK = 0.15
MAX_BATCH = 2000
# Events that fell due while the collector was away are not made afterwards in one burst.
MAX_BEHIND = 1.0
FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0
REPORT = 60.0


@dataclass(frozen=True)
class World:
    """Time and the wish to stop, as functions so that tests can make their own."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    stopping: Callable[[], bool]


class Schedule:
    """How many events are due: counted from one anchor, so errors of sleeping do not add up."""

    def __init__(self, rate: float, start: float) -> None:
        self._rate, self._anchor, self._taken = rate, start, 0

    def due(self, at: float) -> int:
        """Events that are due at `at` and were not taken yet, at most a batch."""
        due = self._open(at)
        most = max(int(MAX_BEHIND * self._rate), 1)
        if due > most:
            self._anchor, self._taken = at, 0
            return min(most, MAX_BATCH)
        due = min(due, MAX_BATCH)
        self._taken += due
        return due

    def next(self, at: float) -> float:
        """Seconds until it makes sense to ask again: once per tick, if a batch is enough."""
        if self._open(at) >= MAX_BATCH:
            return 0.0
        following = self._anchor + (self._taken + 1) / self._rate
        tick = self._anchor + (int((at - self._anchor) / TICK) + 1) * TICK
        return max(following, tick) - at

    def _open(self, at: float) -> int:
        # A millionth more: an event is due at its time, not just after it.
        return int((at - self._anchor) * self._rate + 1e-6) - self._taken


class Generator:
    """Sends events at a rate until it has sent `count` or is told to stop."""

    def __init__(self, events: Events, sink: Sink, rate: float, world: World) -> None:
        self._events, self._sink, self._rate, self._world = events, sink, rate, world
        self.sent = 0

    def run(self, count: int | None = None, grace: float = 5.0) -> None:
        """Until done. Told to stop, it tries for `grace` seconds more to deliver the last batch.

        Raises:
            PermanentFailure: the sink will never take these events.
        """
        world = self._world
        schedule = Schedule(self._rate, world.monotonic())
        reported, before = world.monotonic(), 0
        while not world.stopping() and (count is None or self._events.made < count):
            due = schedule.due(world.monotonic())
            if count is not None:
                due = min(due, count - self._events.made)
            if due:
                self._deliver(self._batch(due), grace)
            at = world.monotonic()
            if at - reported >= REPORT:
                rate = round((self.sent - before) / (at - reported), 1)
                log.info("sent", extra={"total": self.sent, "rate": rate})
                reported, before = at, self.sent
            if count is None or self._events.made < count:
                world.sleep(schedule.next(at))
        log.info("done", extra={"total": self.sent})

    def _batch(self, size: int) -> list[Event]:
        """Events spread evenly over the time since the last batch, the last of them now."""
        now, step = self._world.now(), timedelta(seconds=1 / self._rate)
        return [self._events.next(now - step * back) for back in range(size - 1, -1, -1)]

    def _deliver(self, batch: Sequence[Event], grace: float) -> None:
        world, wait, give_up = self._world, FIRST_WAIT, None
        while batch:
            total = len(batch)
            try:
                batch = self._sink.send(batch)
                self.sent += total - len(batch)
                failure = "not all were taken"
            except TransientFailure as error:
                failure = str(error)
            if not batch:
                return
            if world.stopping():
                give_up = give_up or world.monotonic() + grace
                if world.monotonic() >= give_up:
                    log.warning("stopped with events undelivered", extra={"events": len(batch)})
                    return
            log.warning("sending again", extra={"events": len(batch), "in_s": wait, "why": failure})
            world.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)
