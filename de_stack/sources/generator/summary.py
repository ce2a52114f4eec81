"""What a run has done, at its end: for people, for programs, and whether it was right.

Belongs here: the figures to hold against `de-stack counts`, the verdict. Does not belong here:
counting (`counts.py`), where it is printed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from de_stack.sources.generator.counts import Counts


@dataclass(frozen=True)
class Summary:
    """One stream's run: its counts, how many seconds it took, what it was told to do."""

    counts: Counts
    seconds: float
    told: dict[str, Any]

    @property
    def wrong(self) -> str:
        """Why this run is no good; empty where it is."""
        counts = self.counts
        if counts.undelivered:
            return f"{counts.undelivered:,} events were made and could not be delivered"
        unexpected = counts.refused - counts.expected_refusals
        if unexpected > 0:
            return (
                f"{unexpected:,} events were refused that should have been taken; the first: "
                f"{counts.first_refusal}"
            )
        return ""

    def plain(self) -> dict[str, Any]:
        """For programs."""
        counts = self.counts
        numbers = ("made", "sent", "refused", "retried", "skipped", "undelivered", "bytes")
        return {
            **self.told,
            **{name: getattr(counts, name) for name in numbers},
            "seconds": round(self.seconds, 3),
            "events_per_second": round(self._per_second, 1),
            "faults": dict(counts.faults),
            "malformed_forms": dict(counts.forms),
            "first_refusal": counts.first_refusal or None,
        }

    def lines(self) -> list[str]:
        """For people."""
        counts, told = self.counts, self.told
        found = [
            f"{counts.stream}: made {counts.made:,}, sent {counts.sent:,}, "
            f"refused {counts.refused:,} in {self.seconds:.1f} s ({self._per_second:,.1f}/s)"
        ]
        for word in ("retried", "skipped", "undelivered"):
            if number := getattr(counts, word):
                found.append(f"  {word} {number:,}")
        if any(counts.faults.values()):
            each = (f"{k.replace('_', ' ')} {n:,}" for k, n in counts.faults.items() if n)
            found.append(f"  wrong on purpose: {', '.join(each)}")
        if any(counts.forms.values()):
            each = (f"{k.replace('_', ' ')} {n:,}" for k, n in counts.forms.items() if n)
            found.append(f"  of the malformed: {', '.join(each)}")
        if told.get("sink") in ("kafka", "http") and any(counts.faults.values()):
            future, refused = counts.faults["future"], counts.expected_refusals
            letters = f"+{refused:,}"
            if future and told["has_own_clock"]:
                # The broker's clock says what is ahead, and this run had another.
                letters = f"+{refused - future:,} and what of the {future:,} future ones still is"
            found.append(
                f"  for `de-stack counts`: dead letters {letters}, "
                f"duplicates +{counts.faults['duplicate']:,}"
            )
        # Times of the wall do not come again: only with a clock of its own a run is the same bytes.
        again = f"--seed {told['seed']}"
        if told["has_own_clock"]:
            again += f" --start {told['start']} --rate {told['rate']:g}"
        found.append(f"  the same {'bytes' if told['has_own_clock'] else 'values'} again: {again}")
        return found

    @property
    def _per_second(self) -> float:
        return (self.counts.sent + self.counts.refused) / self.seconds if self.seconds else 0.0
