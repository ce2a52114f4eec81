"""Where landing stands in a topic, and what a person may accept about it.

Belongs here: what `de-stack offsets` shows and enters. Does not belong here: landing (`land.py`),
printing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from de_stack.failures import PermanentFailure
from de_stack.flow import commits, slices
from de_stack.flow.bronze import bronze
from de_stack.flow.decisions import Decisions
from de_stack.flow.ledger import Ledger
from de_stack.resources.kafka import Kafka
from de_stack.resources.lake import Lake

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.settings import Settings


@dataclass(frozen=True)
class Partition:
    """Offsets of one partition: `landed` and `end` are the ones after the last.

    `missing` were deleted before they landed; `lost` are those among them that were accepted.
    """

    partition: int
    begin: int
    end: int
    landed: int
    waiting: int
    missing: list[slices.Missing]
    lost: list[slices.Missing]


@dataclass(frozen=True)
class Standing:
    """A topic as the broker has it, and what has landed of it."""

    topic: str
    topic_id: str
    landed_topic_id: str | None
    is_accepted: bool
    partitions: list[Partition]


def standing(settings: Settings, stream: Stream) -> Standing:
    """Where landing stands in a stream's topic.

    Raises:
        PermanentFailure: there is no such topic, or log and ledger disagree.
        TransientFailure: Kafka or the ledger was away.
    """
    # What a killed run has landed and not entered must not be accepted as lost.
    commits.reconcile(Lake(settings), Ledger(settings), bronze(settings, stream))
    table = bronze(settings, stream).table_id
    # The ledger first: what lands in between must not look like an end that went back.
    landed, decisions = Ledger(settings).landed(table), Decisions(settings, table)
    topic = settings.names.topic(*stream.topic)
    state = Kafka(settings).topic_state(topic)
    if state is None:
        fix = f"{settings.making} makes it"
        raise PermanentFailure(
            f"read topic {topic}", "there is no such topic", fix, page="no-topic"
        )
    same = landed is None or landed.topic_id == state.topic_id
    offsets = landed.offsets if landed and same else {}
    missing = slices.missing_ranges(offsets, state.begin, first_slice=not offsets)
    is_open = decisions.open_gaps(state.topic_id, missing)
    found = []
    for p in sorted(state.end):
        reached = offsets.get(p, state.begin[p] if not offsets else 0)
        gaps = [g for g in missing if g.partition == p]
        left = [g for g in is_open if g.partition == p]
        lost = [part for gap in gaps for part in slices.uncovered(gap, left)]
        waiting = state.end[p] - max(reached, state.begin[p])
        found.append(Partition(p, state.begin[p], state.end[p], reached, waiting, left, lost))
    accepted = same or (
        landed is not None and decisions.is_accepted(landed.topic_id, state.topic_id)
    )
    return Standing(topic, state.topic_id, landed.topic_id if landed else None, accepted, found)


def accept_gaps(
    settings: Settings, stream: Stream, reason: str, decided_by: str
) -> list[slices.Missing]:
    """Accept what is missing now as lost; the ranges that were accepted."""
    now = standing(settings, stream)
    gaps = [gap for partition in now.partitions for gap in partition.missing]
    details = [{"topic_id": now.topic_id, **asdict(gap)} for gap in gaps]
    Decisions(settings, bronze(settings, stream).table_id).enter("gap", details, reason, decided_by)
    return gaps


def accept_topic(
    settings: Settings, stream: Stream, reason: str, decided_by: str
) -> tuple[str, str] | None:
    """Go on from the topic that landed to the one of its name now; (old, new) id, None if equal."""
    now = standing(settings, stream)
    if now.landed_topic_id is None or now.is_accepted:
        return None
    pair = {"from": now.landed_topic_id, "to": now.topic_id}
    decisions = Decisions(settings, bronze(settings, stream).table_id)
    decisions.enter("topic", [pair], reason, decided_by)
    return now.landed_topic_id, now.topic_id
