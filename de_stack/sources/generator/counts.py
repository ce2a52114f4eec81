"""What one stream's generator has done so far.

Belongs here: numbers, and the sum that they have to make. Does not belong here: how they are shown
(`meters.py`, `summary.py`).
"""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field

KINDS = ("late", "duplicate", "malformed", "out_of_order", "future")
FORMS = ("broken_json", "wrong_type", "missing_field", "invalid_utf8")
_WINDOW_S = 10.0


def _zeros(names: tuple[str, ...]) -> Counter[str]:
    # All there from the start: a reader in another thread must not see it grow.
    return Counter(dict.fromkeys(names, 0))


@dataclass
class Counts:
    """One thread writes, others may read.

    Every event that was made, and every duplicate of one, is sent, refused or undelivered at the
    end. `retried` are events that were sent again, `skipped` those that fell due while the sink was
    away and were never made. `faults` counts by kind, `forms` the malformed ones by form. `lag` is
    how long the oldest event that is due has waited, in seconds.
    """

    stream: str
    target_rate: float
    made: int = 0
    sent: int = 0
    refused: int = 0
    retried: int = 0
    skipped: int = 0
    undelivered: int = 0
    bytes: int = 0
    lag: float = 0.0
    is_running: bool = False
    first_refusal: str = ""
    faults: Counter[str] = field(default_factory=lambda: _zeros(KINDS))
    forms: Counter[str] = field(default_factory=lambda: _zeros(FORMS))
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, at: float) -> None:
        """Remember how many were settled at a time (seconds), for `rate`."""
        seen = self._seen
        if seen and at - seen[-1][0] < _WINDOW_S / 20:
            return
        seen.append((at, self.sent + self.refused))
        while at - seen[0][0] > _WINDOW_S:
            seen.popleft()

    def rate(self, at: float) -> float:
        """Events settled per second, of the last ten seconds."""
        seen = list(self._seen)
        since, settled = seen[0] if seen else (at, 0)
        if at <= since or at - since > 2 * _WINDOW_S:
            return 0.0
        return (self.sent + self.refused - settled) / (at - since)

    @property
    def expected_refusals(self) -> int:
        """Events that no door takes: malformed ones, and those of the future."""
        return self.faults["malformed"] + self.faults["future"]

    @property
    def is_whole(self) -> bool:
        """True when every event is accounted for."""
        settled = self.sent + self.refused + self.undelivered
        return self.made + self.faults["duplicate"] == settled
