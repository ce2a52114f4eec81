"""Events that are wrong on purpose, in shares, again the same ones from the same seed.

Belongs here: which event gets which fault, and when it goes out. Does not belong here: how a
message is broken (`malformed.py`), reading shares (`fault_words.py`).

An event is late, future, malformed or out of order, or none of these; duplicates are drawn from
those that can be taken: none that is future or malformed is. Faults have draws of their own: the
other events of a run are the same bytes as without them.
"""

from __future__ import annotations

import heapq
import itertools
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from de_stack.sources.generator.counts import KINDS, Counts
from de_stack.sources.generator.events import Event, Events

# What no door takes.
NEVER_TAKEN = ("malformed", "future")
# Of one event; the rest (duplicates) is about how often it is sent.
_EXCLUSIVE = ("late", "future", "malformed", "out_of_order")
# Events between the two of a duplicate, at most; and until a held back one is sent without another
# of its key.
DUPLICATE_WITHIN = HELD_FOR = 50
_SPREAD_S = 60.0


@dataclass(frozen=True)
class Faults:
    """Shares from 0 to 1, and by how much an event's time is off (None: as far as it takes)."""

    late: float = 0.0
    duplicate: float = 0.0
    malformed: float = 0.0
    out_of_order: float = 0.0
    future: float = 0.0
    late_seconds: float | None = None
    future_seconds: float | None = None

    def __bool__(self) -> bool:
        """True where there are any."""
        return any(getattr(self, kind) for kind in KINDS)

    @property
    def exclusive(self) -> float:
        """Share of the events that have a fault of their own."""
        return sum(getattr(self, kind) for kind in _EXCLUSIVE)


@dataclass(frozen=True)
class Off:
    """How far late and future events are off when nobody says: seconds that always are enough."""

    late: float = 3600.0 + 600.0
    future: float = 3600.0 + 300.0


class Faulty:
    """Events with faults among them: what `Events` is, for whoever sends them."""

    def __init__(
        self,
        events: Events,
        faults: Faults,
        off: Off,
        breaks: Callable[[Event], tuple[Event, str]],
        seed: int | str,
        counts: Counts,
    ) -> None:
        self._events, self._faults, self._off, self._breaks = events, faults, off, breaks
        self._which, self._twice, self._far = (
            random.Random(f"{seed}:faults:{what}")  # noqa: S311 - repeatable, not secret
            for what in ("which", "duplicate", "seconds")
        )
        # (number of the event after which it goes out, running number, event)
        self._again: list[tuple[int, int, Event]] = []
        self._order = itertools.count()
        self._held: list[tuple[int, Event]] = []
        self._counts = counts

    @property
    def made(self) -> int:
        """Events made, duplicates not among them."""
        return self._events.made

    def batch(self, times: Sequence[datetime]) -> list[Event]:
        """The next events, one for each time, and what falls due with them."""
        out: list[Event] = []
        for now in times:
            self._make(now, out)
            while self._again and self._again[0][0] <= self.made:
                self._repeat(out)
        return out

    def drain(self) -> list[Event]:
        """What is still held back, when no event follows."""
        out: list[Event] = []
        for _, event in self._held:
            # A later one of its key would have released it: it is in order after all.
            self._emit(event, out, "")
        self._held.clear()
        while self._again:
            self._repeat(out)
        return out

    def _make(self, now: datetime, out: list[Event]) -> None:
        kind = self._kind()
        if kind == "late":
            now -= self._distance(self._faults.late_seconds, self._off.late)
        elif kind == "future":
            now += self._distance(self._faults.future_seconds, self._off.future)
        event = self._events.next(now)
        if kind == "malformed":
            event, form = self._breaks(event)
            self._counts.forms[form] += 1
        if kind == "out_of_order":
            self._held.append((self.made, event))
            return
        self._emit(event, out, kind)
        if not kind:
            self._release(event, out)

    def _kind(self) -> str:
        drawn, below = self._which.random(), 0.0
        for kind in _EXCLUSIVE:
            below += getattr(self._faults, kind)
            if drawn < below:
                return kind
        return ""

    def _distance(self, asked: float | None, enough: float) -> timedelta:
        spread = self._far.random() * _SPREAD_S
        return timedelta(seconds=enough + 1 + spread if asked is None else asked)

    def _emit(self, event: Event, out: list[Event], kind: str) -> None:
        if kind:
            self._counts.faults[kind] += 1
            event = event._replace(fault=kind)
        out.append(event)
        if kind in NEVER_TAKEN or not self._faults.duplicate:
            return
        if self._twice.random() < self._faults.duplicate:
            due = self.made + self._twice.randint(1, DUPLICATE_WITHIN)
            heapq.heappush(self._again, (due, next(self._order), event))

    def _repeat(self, out: list[Event]) -> None:
        self._counts.faults["duplicate"] += 1
        out.append(heapq.heappop(self._again)[2]._replace(fault="duplicate"))

    def _release(self, after: Event, out: list[Event]) -> None:
        """Send what an event of a later time, and of the same key, has overtaken."""
        if not self._held:
            return
        kept = []
        for number, event in self._held:
            waited = self.made - number >= HELD_FOR
            if after.time > event.time and (after.key == event.key or waited):
                self._emit(event, out, "out_of_order")
            else:
                kept.append((number, event))
        self._held = kept
