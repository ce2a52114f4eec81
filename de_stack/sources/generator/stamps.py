"""Times of events: of the clock on the wall, or of one that starts where it is told to.

Belongs here: the two. Does not belong here: how many events are due (`schedule.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Protocol


class Stamps(Protocol):
    """Where events get their times from."""

    def take(self, count: int) -> list[datetime]:
        """Times of the next events, ascending."""
        ...


class WallStamps:
    """Spread evenly over the time since the last batch, the last of them now."""

    def __init__(self, now: Callable[[], datetime], rate: float) -> None:
        self._now, self._step = now, timedelta(seconds=1 / rate)

    def take(self, count: int) -> list[datetime]:
        """Times up to now."""
        now, step = self._now(), self._step
        return [now - step * back for back in range(count - 1, -1, -1)]


class FixedStamps:
    """Each 1/rate after the last one, from a start: the same again in every run."""

    def __init__(self, start: datetime, rate: float) -> None:
        self._start, self._rate, self._taken = start, rate, 0

    def take(self, count: int) -> list[datetime]:
        """The next times."""
        first, self._taken = self._taken, self._taken + count
        start, rate = self._start, self._rate
        # Counted from the start, so that errors of rounding do not add up.
        return [start + timedelta(seconds=n / rate) for n in range(first, first + count)]
