"""The next slice of a topic: which offsets of which partitions.

Belongs here: pure arithmetic on offsets. Does not belong here: Kafka, Delta, clocks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

Offsets = dict[int, int]


@dataclass(frozen=True)
class Slice:
    """Per partition the first offset and the one after the last; none for those without news."""

    start: Offsets
    end: Offsets

    @property
    def size(self) -> int:
        """Offsets spanned: an upper bound of rows (transaction markers take offsets too)."""
        return sum(self.end[p] - self.start[p] for p in self.end)


@dataclass(frozen=True)
class Missing:
    """Offsets that the topic no longer has and that were never landed."""

    partition: int
    first: int
    last: int


def missing_ranges(landed: Offsets, begin: Offsets, first_slice: bool) -> list[Missing]:
    """What retention took before we landed it. A table's first slice starts where Kafka does."""
    if first_slice:
        return []
    return [
        Missing(p, landed.get(p, 0), begin[p] - 1)
        for p in sorted(begin)
        if begin[p] > landed.get(p, 0)
    ]


def uncovered(gap: Missing, accepted: Iterable[Missing]) -> list[Missing]:
    """The parts of a gap that no accepted range covers."""
    left, position = [], gap.first
    for known in sorted((a for a in accepted if a.partition == gap.partition), key=_order):
        if known.first > position:
            left.append(Missing(gap.partition, position, min(known.first - 1, gap.last)))
        position = max(position, known.last + 1)
        if position > gap.last:
            break
    if position <= gap.last:
        left.append(Missing(gap.partition, position, gap.last))
    return [part for part in left if part.first <= part.last]


def _order(gap: Missing) -> tuple[int, int]:
    return gap.first, gap.last


def next_slice(landed: Offsets, begin: Offsets, end: Offsets, max_rows: int) -> Slice | None:
    """From where the last slice ended to `end`, at most `max_rows` offsets; None if nothing is new.

    Rows are taken from the partitions in equal parts, what one leaves over goes to the others, so
    that a partition with a large backlog does not starve a small one.
    """
    start = {p: max(landed.get(p, begin[p]), begin[p]) for p in end}
    waiting = {p: end[p] - start[p] for p in end if end[p] > start[p]}
    if not waiting:
        return None
    left, stop = max_rows, dict(start)
    for position, (partition, size) in enumerate(
        sorted(waiting.items(), key=lambda i: (i[1], i[0]))
    ):
        # The smallest come first, so that nobody gets less than an equal part of what is left.
        share = max(1, left // (len(waiting) - position)) if left else 0
        take = min(size, share)
        stop[partition] = start[partition] + take
        left -= take
    used = {p for p in waiting if stop[p] > start[p]}
    return Slice({p: start[p] for p in sorted(used)}, {p: stop[p] for p in sorted(used)})
