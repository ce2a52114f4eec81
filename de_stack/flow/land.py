"""Kafka -> bronze, slice by slice, each slice one Delta commit.

Belongs here: the loop that plans, writes and verifies slices. Does not belong here: offset
arithmetic (`slices.py`), the write itself (`write_slice.py`), the ledger's SQL.

Rows, slice number and offsets are in one commit (`txnAppId`, `txnVersion`, user metadata), so they
cannot disagree, and two writers of one slice fence each other: one commits, the other is refused or
skipped. A skipped write reports success too, hence nothing is believed before the log has shown our
token.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from de_stack import partitions
from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.flow import commits, slices, tables
from de_stack.flow.bronze import bronze
from de_stack.flow.decisions import Decisions
from de_stack.flow.ledger import Landed, Ledger
from de_stack.flow.widen import widen
from de_stack.flow.write_slice import write_slice
from de_stack.logs import line
from de_stack.resources.kafka import DEADLINE_MS, Kafka, TopicState
from de_stack.resources.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from de_stack.contracts import Stream
    from de_stack.settings import Settings

log = logging.getLogger(__name__)
_MAX_LOST_RACES = 20


@dataclass
class Landing:
    """What one call has landed; `hours` counts rows per ingest hour."""

    slices: int = 0
    rows: int = 0
    dead: int = 0
    hours: dict[datetime, int] = field(default_factory=dict)


def waiting(settings: Settings, stream: Stream, deadline_ms: int = DEADLINE_MS) -> int:
    """Offsets between what has landed and the end of the topic. Reads offsets and the ledger only.

    Args:
        settings: where topic and ledger are.
        stream: the contract.
        deadline_ms: how long the broker is asked; a tick must not wait for it, others may.

    Raises:
        PermanentFailure: the topic is not there, or a landing would refuse it.
    """
    topic, table = settings.names.topic(*stream.topic), bronze(settings, stream)
    # The ledger first: what lands in between must not look like an end that went back.
    landed = Ledger(settings).landed(table.table_id)
    state = Kafka(settings).topic_state(topic, deadline_ms)
    if state is None:
        raise _no_topic(settings, topic)
    decisions = Decisions(settings, table.table_id)
    try:
        return _plan(stream, state, landed, decisions, 2**62).size
    except PermanentFailure:
        # What a killed run has landed and not entered is not missing, whatever Kafka has deleted.
        # Looked at only now: a tick reads no log.
        commits.reconcile(Lake(settings), Ledger(settings), table)
        landed = Ledger(settings).landed(table.table_id)
        return _plan(stream, state, landed, decisions, 2**62).size


def land(
    settings: Settings, stream: Stream, spark: Callable[[], SparkSession], run_id: str
) -> Landing:
    """Land everything from the last committed slice up to the topic's end as it is now.

    Args:
        settings: where everything is.
        stream: the contract; it names topic and table.
        spark: gives the session; it is not called when there is nothing to land.
        run_id: goes into the commits.

    Raises:
        PermanentFailure: offsets are missing, the topic is another one, or log and ledger disagree.
        TransientFailure: a system was away.
    """
    table, lake, ledger = bronze(settings, stream), Lake(settings), Ledger(settings)
    topic = settings.names.topic(*stream.topic)
    state = Kafka(settings).topic_state(topic)
    if state is None:
        raise _no_topic(settings, topic)
    decisions = Decisions(settings, table.table_id)
    landing, lost = Landing(), 0
    while True:
        is_new = commits.reconcile(lake, ledger, table) < 0
        landed = ledger.landed(table.table_id)
        if landed and any(end < landed.offsets.get(p, 0) for p, end in state.end.items()):
            # Another writer has gone past the end that we saw; or the log was cut, then refuse.
            state = Kafka(settings).topic_state(topic) or state
        plan = _plan(stream, state, landed, decisions, settings.slice_max_rows)
        if plan.piece is None:
            return landing
        piece = plan.piece
        number = landed.slice + 1 if landed else 0
        token, metadata = commits.envelope(
            "land",
            run_id,
            slice=number,
            topic=topic,
            topic_id=state.topic_id,
            contract_version=stream.version,
            start=piece.start,
            end=piece.end,
            # All partitions: one that retention had emptied before we came has lost nothing.
            landed={**plan.landed, **piece.end},
            gaps=[asdict(gap) for gap in plan.gaps],
            late_after=partitions.late_after(stream),
            period=partitions.interval(stream.grain),
            look_back_s=int(stream.look_back.total_seconds()),
        )
        if not is_new:
            widen(settings, spark, table, run_id)
        write_slice(settings, stream, spark, table, is_new, state, piece, number, metadata)
        commits.reconcile(lake, ledger, table)
        version = ledger.token_version(table.table_id, token)
        if version is None:
            lost += 1
            log.info(
                line("another writer landed the slice", run_id=run_id, topic=topic, slice=number)
            )
            if lost >= _MAX_LOST_RACES:
                raise TransientFailure(
                    f"land {topic}", f"lost {lost} races for a slice", page="another-writer"
                )
            continue
        _count(lake, table, state.topic_id, piece, version, landing)
        said = {"run_id": run_id, "stream": stream.name, "topic": topic, "slice": number}
        log.info(
            line("landed a slice", **said, version=version, rows=piece.size, end=dict(piece.end))
        )


def _no_topic(settings: Settings, topic: str) -> PermanentFailure:
    return PermanentFailure(
        f"read topic {topic}",
        "there is no such topic",
        f"{settings.making} makes it",
        page="no-topic",
    )


@dataclass(frozen=True)
class _Plan:
    """The next slice (None when nothing is new), where landing stands, what is lost for good."""

    piece: slices.Slice | None
    landed: slices.Offsets
    gaps: list[slices.Missing]

    @property
    def size(self) -> int:
        return self.piece.size if self.piece else 0


def _plan(
    stream: Stream, state: TopicState, landed: Landed | None, decisions: Decisions, max_rows: int
) -> _Plan:
    tried = f"plan the next slice of {state.topic}"
    if landed and landed.topic_id != state.topic_id:
        if not decisions.is_accepted(landed.topic_id, state.topic_id):
            raise PermanentFailure(
                tried,
                f"the topic was made anew: what landed came from topic id {landed.topic_id}, "
                f"the broker has {state.topic_id}",
                f"if that is meant, `de-stack offsets accept-topic {stream.name}`",
                page="topic-anew",
            )
        landed = None  # Its offsets are another topic's.
    offsets = landed.offsets if landed else {}
    missing = slices.missing_ranges(offsets, state.begin, first_slice=landed is None)
    if gaps := decisions.open_gaps(state.topic_id, missing):
        named = ", ".join(f"partition {g.partition} offsets {g.first}..{g.last}" for g in gaps)
        raise PermanentFailure(
            tried,
            f"Kafka no longer has {named}: they were never landed",
            f"if they are lost for good, `de-stack offsets accept-gap {stream.name}`",
            page="missing-offsets",
        )
    back = {p: end for p, end in state.end.items() if end < offsets.get(p, 0)}
    if back:
        named = ", ".join(
            f"partition {p} ends at {e}, landed {offsets[p]}" for p, e in back.items()
        )
        raise PermanentFailure(tried, f"the topic's log was cut: {named}", page="topic-cut")
    piece = slices.next_slice(offsets, state.begin, state.end, max_rows)
    return _Plan(piece, offsets or state.begin, missing)


def _count(
    lake: Lake,
    table: tables.Table,
    topic_id: str,
    piece: slices.Slice,
    version: int,
    landing: Landing,
) -> None:
    landing.slices += 1
    found = lake.query(
        table.uri,
        "select ingest_hour, count(*) as rows, count(error) as dead from t "
        f"where {commits.slice_condition(topic_id, piece.start, piece.end)} group by ingest_hour",
        version,
    ).to_pylist()
    for row in found:
        hour = commits.utc(row["ingest_hour"])
        landing.hours[hour] = landing.hours.get(hour, 0) + row["rows"]
        landing.rows += row["rows"]
        landing.dead += row["dead"]
