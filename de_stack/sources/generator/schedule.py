"""How many events are due.

Belongs here: counting from one anchor. Does not belong here: clocks, sleeping (`run.py`).
"""

from __future__ import annotations

TICK = 0.15
MAX_BATCH = 2000
# Events that fell due while the sink was away are not made afterwards in one burst: a second's are.
AFTER_AWAY_S = 1.0
# A sink, or a machine, that is slow for a while is caught up with.
MAX_BEHIND_S = 10.0


class Schedule:
    """How many events are due: counted from one anchor, so errors of sleeping do not add up.

    `skipped` are events that fell due too long ago and will not be made.
    """

    def __init__(self, rate: float, start: float, batch: int = MAX_BATCH) -> None:
        self._rate, self._anchor, self._taken, self._batch = rate, start, 0, batch
        self.skipped = 0

    def due(self, at: float, behind_s: float = MAX_BEHIND_S) -> int:
        """Events that are due at `at` and were not taken yet, at most a batch.

        What fell due more than `behind_s` seconds ago is let go, but for one event.
        """
        due, most = self._open(at), max(int(behind_s * self._rate), 1)
        if due > most:
            self.skipped += due - most
            self._anchor, self._taken, due = at - most / self._rate, 0, most
        due = min(due, self._batch)
        self._taken += due
        return due

    def next(self, at: float) -> float:
        """Seconds until it makes sense to ask again: once per tick, if a batch is enough."""
        if self._open(at) >= self._batch:
            return 0.0
        following = self._anchor + (self._taken + 1) / self._rate
        tick = self._anchor + (int((at - self._anchor) / TICK) + 1) * TICK
        # A whole batch may be due before the tick is.
        full = self._anchor + (self._taken + self._batch) / self._rate
        return max(max(following, min(tick, full)) - at, 0.0)

    def lag(self, at: float) -> float:
        """How long the oldest event that is due has waited, in seconds."""
        return max(self._open(at), 0) / self._rate

    def _open(self, at: float) -> int:
        # A millionth more: an event is due at its time, not just after it.
        return int((at - self._anchor) * self._rate + 1e-6) - self._taken


class AtOnce:
    """As many as the sink takes."""

    skipped = 0

    def __init__(self, batch: int = MAX_BATCH) -> None:
        self._batch = batch

    def due(self, at: float, behind_s: float = 0.0) -> int:  # noqa: ARG002
        """A batch, always."""
        return self._batch

    def next(self, at: float) -> float:  # noqa: ARG002
        """Now."""
        return 0.0

    def lag(self, at: float) -> float:  # noqa: ARG002
        """None: there is no schedule."""
        return 0.0
