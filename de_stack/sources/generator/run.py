"""The loop: how many events are due, make them, deliver them, wait.

Belongs here: the order of steps, and retries. Does not belong here: what an event is, how it is
sent, when it is due (`schedule.py`), signals.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from de_stack.failures import TransientFailure
from de_stack.sources.generator.counts import Counts
from de_stack.sources.generator.events import Event
from de_stack.sources.generator.faults import NEVER_TAKEN
from de_stack.sources.generator.schedule import (
    AFTER_AWAY_S,
    MAX_BATCH,
    MAX_BEHIND_S,
    AtOnce,
    Schedule,
)
from de_stack.sources.generator.sinks import Sink
from de_stack.sources.generator.stamps import Stamps, WallStamps

log = logging.getLogger(__name__)

FIRST_WAIT, LONGEST_WAIT = 0.2, 5.0


@dataclass(frozen=True)
class World:
    """Time and the wish to stop, as functions so that tests can make their own."""

    now: Callable[[], datetime]
    monotonic: Callable[[], float]
    sleep: Callable[[float], None]
    stopping: Callable[[], bool]


class Source(Protocol):
    """What makes events: `Events`, or `Faulty` around it."""

    @property
    def made(self) -> int:
        """How many so far, duplicates not among them."""
        ...

    def batch(self, times: Sequence[datetime]) -> list[Event]:
        """The next events, one for each time, and what falls due with them."""
        ...

    def drain(self) -> list[Event]:
        """What is still held back."""
        ...


class Generator:
    """Sends events at a rate until it has made `count` or is told to stop.

    Args:
        source: makes them.
        sink: takes them.
        rate: events per second.
        world: time.
        stamps: their times; those of the wall without it.
        is_paced: False sends as fast as the sink takes them.
        batch: events that are handed to the sink at once, at most.
        report: called after every step, with the counts and a time in seconds.
    """

    def __init__(
        self,
        source: Source,
        sink: Sink,
        rate: float,
        world: World,
        stamps: Stamps | None = None,
        is_paced: bool = True,
        counts: Counts | None = None,
        batch: int = MAX_BATCH,
        report: Callable[[Counts, float], None] = lambda _counts, _at: None,
    ) -> None:
        self._source, self._sink, self._rate, self._world = source, sink, rate, world
        self._stamps = stamps or WallStamps(world.now, rate)
        self._is_paced, self._batch, self._report = is_paced, batch, report
        self.counts = counts or Counts("", rate)

    def run(self, count: int | None = None, grace: float = 5.0) -> None:
        """Until done. Told to stop, it tries for `grace` seconds more to deliver what is made.

        Raises:
            PermanentFailure: the sink will never take these events.
        """
        world, source, counts = self._world, self._source, self.counts
        begun = world.monotonic()
        behind_s = MAX_BEHIND_S
        if self._is_paced:
            schedule = Schedule(self._rate, begun, self._batch)
        else:
            schedule = AtOnce(self._batch)
        counts.note(begun)
        counts.is_running = True
        try:
            while not world.stopping() and (count is None or source.made < count):
                at = world.monotonic()
                counts.lag = schedule.lag(at)
                due = schedule.due(at, behind_s)
                counts.skipped = schedule.skipped
                if count is not None:
                    due = min(due, count - source.made)
                retried = counts.retried
                if due:
                    self._deliver(source.batch(self._stamps.take(due)), grace)
                behind_s = AFTER_AWAY_S if counts.retried > retried else MAX_BEHIND_S
                at = world.monotonic()
                counts.note(at)
                self._report(counts, at)
                if count is None or source.made < count:
                    world.sleep(schedule.next(at))
            self._deliver(source.drain(), grace)
            counts.lag = 0.0
        finally:
            counts.is_running = False

    def _deliver(self, batch: Sequence[Event], grace: float) -> None:
        world, counts, wait, give_up = self._world, self.counts, FIRST_WAIT, None
        counts.made = self._source.made
        left = batch
        try:
            while left:
                trying = left
                try:
                    done = self._sink.send(trying)
                except TransientFailure as error:
                    failure = str(error)
                else:
                    failure, left = "not all were taken", done.again
                    self._settle(trying, left, done.refused, done.first_refusal)
                    if not left:
                        return
                if world.stopping():
                    give_up = give_up or world.monotonic() + grace
                    if world.monotonic() >= give_up:
                        log.warning("stopped with events undelivered", extra={"events": len(left)})
                        return
                told = {"events": len(left), "in_s": wait, "why": failure}
                log.warning("sending again", extra=told)
                counts.retried += len(left)
                self._report(counts, world.monotonic())
                world.sleep(wait)
                wait = min(wait * 2, LONGEST_WAIT)
        finally:
            counts.undelivered += len(left)

    def _settle(
        self, tried: Sequence[Event], again: Sequence[Event], refused: int, why: str
    ) -> None:
        counts = self.counts
        # Malformed ones are refused as they should be.
        wanted = sum(event.fault in NEVER_TAKEN for event in tried) if refused else 0
        if refused > wanted:
            log.error("refused for good", extra={"events": refused - wanted, "first": why})
        counts.sent += len(tried) - len(again) - refused
        counts.refused += refused
        counts.first_refusal = counts.first_refusal or why
        counts.bytes += sum(len(e.data) for e in tried) - sum(len(e.data) for e in again)
