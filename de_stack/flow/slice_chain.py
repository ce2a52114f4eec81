"""Do a table's slices follow each other, in their numbers and in their offsets.

Belongs here: pure arithmetic on what the commits of landings say. Does not belong here: the next
slice (`slices.py`), reading the ledger (`ledger_check.py`, `checks.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from de_stack.flow.slices import Missing, Offsets, uncovered


@dataclass(frozen=True)
class Link:
    """What the commit of one slice says; `landed` are the ends of all partitions after it."""

    slice: int
    topic_id: str
    start: Offsets
    end: Offsets
    landed: Offsets

    @staticmethod
    def of(number: int | None, details: Mapping[str, Any]) -> Link:
        """From a commit's user metadata, whose JSON has texts for partitions."""
        start, end, landed = (
            {int(p): int(o) for p, o in details[word].items()}
            for word in ("start", "end", "landed")
        )
        return Link(-1 if number is None else number, details["topic_id"], start, end, landed)


def broken_links(
    links: Iterable[Link],
    lost: Mapping[str, Sequence[Missing]],
    topics: Collection[tuple[str, str]],
    before: Link | None = None,
) -> Iterator[str]:
    """What is wrong, each with the slice and the range that it is about.

    Slices are numbered from 0 without a hole. In one topic each begins where the one before ended;
    a topic's first slice begins where Kafka did.

    Args:
        links: in the order of their numbers.
        lost: topic id -> ranges that were accepted as lost.
        topics: (old id, new id) of topics that were accepted in place of another.
        before: the slice before the first of them; None where that is the table's first.
    """
    expected, topic_id, reached = 0, None, {}
    if before is not None:
        expected, topic_id, reached = before.slice + 1, before.topic_id, before.landed
    for link in links:
        if link.slice != expected:
            span = f"slices {expected}..{link.slice - 1} are"
            yield f"{span} missing" if link.slice > expected else f"slice {link.slice} stands twice"
        expected = link.slice + 1
        if topic_id is not None and topic_id != link.topic_id:
            if (topic_id, link.topic_id) not in topics:
                yield f"slice {link.slice}: from topic {topic_id} to {link.topic_id}, not accepted"
            reached = {}
        is_first = not reached
        yield from _steps(link, reached, is_first, lost.get(link.topic_id, ()))
        topic_id, reached = link.topic_id, {**reached, **link.landed}


def _steps(link: Link, reached: Offsets, is_first: bool, lost: Sequence[Missing]) -> Iterator[str]:
    for p in sorted(link.landed.keys() | link.end.keys() | reached.keys()):
        where = f"slice {link.slice}: partition {p} offsets"
        # One that this slice has nothing of stays where it was.
        start = link.start.get(p, link.landed.get(p, reached.get(p, 0)))
        expected = start if is_first else reached.get(p, 0)
        if start < expected:
            yield f"{where} {start}..{expected - 1} again"
        elif start > expected:
            for gap in uncovered(Missing(p, expected, start - 1), lost):
                yield f"{where} {gap.first}..{gap.last} never landed"
        end = link.end.get(p, start)
        if end < start or link.landed.get(p, end) != end:
            yield f"{where} {start}..{end - 1} landed, up to {link.landed.get(p, end)} is said"
