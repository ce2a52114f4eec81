"""Is every row where it should be: accepted = bronze = silver + duplicates + dead + held.

Belongs here: the two halves of that equation as a check after each run. Does not belong here: the
count of everything at one moment (`counts.py`), Dagster's check results.

From bronze to silver it is held by event hour, for hours that silver has used as they are: what is
pending or held is not settled. Dead rows have no event hour. The collector's counter is held
against Kafka: an event is accepted when Kafka has it, so the counter may be ahead of what has
landed, never of what the topic has. It may lag: other producers write to a topic, and a collector
on another machine counts there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING

from de_stack.failures import Failure
from de_stack.flow import commits
from de_stack.flow.bronze import bronze
from de_stack.flow.checks import Difference, per_hour, within
from de_stack.flow.decisions import Decisions
from de_stack.flow.event_counts import events
from de_stack.flow.land import waiting
from de_stack.flow.ledger import Ledger
from de_stack.flow.letter_ledger import LetterLedger
from de_stack.flow.refine import silver
from de_stack.resources import accepted as counter
from de_stack.resources.lake import Lake

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.flow.checks import Range
    from de_stack.settings import Settings

_WITHOUT_RANGE = timedelta(days=7)


@dataclass(frozen=True)
class Reconciled:
    """Settled event hours that were compared: good rows of bronze, distinct events, silver's rows.

    `wrong` are hours in which events and silver differ.
    """

    versions: tuple[int, int]
    hours: int = 0
    rows: int = 0
    events: int = 0
    silver: int = 0
    wrong: list[Difference] = field(default_factory=list)


@dataclass(frozen=True)
class Accepted:
    """What the collector has accepted, and at least how many of its messages are nowhere.

    `missing` neither landed nor wait; they may be refused ones that it has kept.

    `reason` says why the two were not compared.
    """

    accepted: int
    missing: int = 0
    reason: str = ""


def reconciled(settings: Settings, stream: Stream, hours: Range) -> Reconciled:
    """Compare bronze and silver; the week up to the newest event hour where no hours are given.

    Raises:
        Failure: a system was away, or log and ledger disagree.
    """
    lake, ledger = Lake(settings), Ledger(settings)
    raw, typed = bronze(settings, stream), silver(settings, stream)
    of_raw, of_typed = (commits.reconcile(lake, ledger, table) for table in (raw, typed))
    versions = (of_raw, of_typed)
    last = hours[1] if hours else ledger.last_hour(raw.table_id, of_raw)
    if min(versions) < 0 or last is None:
        return Reconciled(versions)
    first = hours[0] if hours else last - _WITHOUT_RANGE
    found = events(settings, raw, of_raw, first, last)
    there = per_hour(lake, typed, of_typed, "count(*)", within((first, last)))
    behind = set(ledger.behind(typed.table_id, of_typed, raw.table_id, of_raw))
    compared = sorted((found.keys() | there.keys()) - behind)
    pairs = [(hour, found.get(hour, (0, 0)), there.get(hour, 0)) for hour in compared]
    return Reconciled(
        versions,
        len(compared),
        sum(rows for _, (rows, _), _ in pairs),
        sum(ids for _, (_, ids), _ in pairs),
        sum(n for *_, n in pairs),
        [Difference(hour, ids, n) for hour, (_, ids), n in pairs if ids != n],
    )


def accepted(settings: Settings, stream: Stream) -> Accepted:
    """Hold the collector's counter against what has landed and what waits in Kafka.

    Kafka is only asked where the counter is ahead.

    Raises:
        Failure: the ledger or the lake was away, or they disagree.
    """
    # In the order of a row's way: what moves on meanwhile is counted twice, never not at all.
    table, topic = bronze(settings, stream), settings.names.topic(*stream.topic)
    total = counter.accepted_total(settings.home, topic)
    # What was refused and kept lands as well: without it, it would hide as many that are missing.
    taken = total + counter.kept_total(settings.home, topic)
    if taken <= _landed(settings, stream):
        return Accepted(total)
    lost, topics = Decisions(settings, table.table_id).of_landing()
    if topics:
        return Accepted(total, reason="the topic was made anew: nobody knows what it still held")
    gone = sum(gap.last + 1 - gap.first for gaps in lost.values() for gap in gaps)
    try:
        under_way = waiting(settings, stream)
    except Failure as failure:
        # The landing says it louder, and rows that are safe must not fail for it.
        return Accepted(total, reason=str(failure))
    missing = taken - _landed(settings, stream) - under_way - gone
    return Accepted(total, max(missing, 0))


def _landed(settings: Settings, stream: Stream) -> int:
    """Rows of bronze that are no replays, and offsets that Kafka had deleted before we came."""
    lake, ledger, table = Lake(settings), Ledger(settings), bronze(settings, stream)
    version = commits.reconcile(lake, ledger, table)
    if version < 0:
        return 0
    entries = LetterLedger(settings, table.table_id).replays().values()
    replays = sum(entry.landed_at is not None for entry in entries)
    return lake.size(table.uri, version).rows - replays + ledger.before_landing(table.table_id)
