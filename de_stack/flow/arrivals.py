"""Where messages that somebody has sent are now: still in Kafka, pending, published, dead, held.

Belongs here: following offsets and event hours of a sending. Does not belong here: sending, waiting
and printing (the command does), all rows of a stream (`counts.py`).

Asked in the order of the flow: what moves on between two questions was seen as under way by the
first of them. Memory is bounded: ids are compared in batches of event hours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from de_stack import partitions
from de_stack.flow import commits, event_counts
from de_stack.flow.bronze import bronze
from de_stack.flow.ledger import Ledger
from de_stack.flow.refine import silver
from de_stack.resources.lake import Lake

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.flow.event_hours import Extent
    from de_stack.settings import Settings

_BATCH_ROWS = 200_000
# Clocks differ, and an ingest day is that of the broker's stamp.
_A_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Sending:
    """Messages with one beginning of their ids, in spans of offsets of a topic.

    `spans`: partition -> (first offset, the one after the last); other messages may lie between.
    `ids` begins each message's `ce_id`; it has no quotes.
    """

    topic_id: str
    spans: Mapping[int, tuple[int, int]]
    ids: str
    began_at: datetime


@dataclass
class Landed:
    """What bronze has of a sending: good rows by event hour, bad ones by code."""

    hours: dict[datetime, int] = field(default_factory=dict)
    dead: Counter[str] = field(default_factory=Counter)

    @property
    def rows(self) -> int:
        """All of them."""
        return sum(self.hours.values()) + sum(self.dead.values())


@dataclass(frozen=True)
class Arrived:
    """Events of a sending: in silver, in held hours and not in silver, in neither.

    `repeated` are rows that added no event: it was there before, or stands twice in the sending.
    """

    published: int = 0
    held: int = 0
    missing: int = 0
    repeated: int = 0


class Arrivals:
    """Questions about one sending.

    `chain` are the stages from bronze to what people see, each reading the one before, as
    `layer_entity`.
    """

    def __init__(
        self, settings: Settings, stream: Stream, sending: Sending, chain: Sequence[str]
    ) -> None:
        self._settings, self._stream, self._sending = settings, stream, sending
        self._raw, self._typed = bronze(settings, stream), silver(settings, stream)
        self._chain = [
            settings.names.table_id(stream.domain, *name.split("_", 1)) for name in chain
        ]
        self._of_header = stream.event_id.startswith("header:")

    def unlanded(self) -> int:
        """Offsets up to the sending's end that landing has not passed."""
        landed = Ledger(self._settings).landed(self._raw.table_id)
        same = landed is not None and landed.topic_id == self._sending.topic_id
        reached = landed.offsets if landed and same else {}
        return sum(
            max(0, end - max(low, reached.get(partition, 0)))
            for partition, (low, end) in self._sending.spans.items()
        )

    def landed(self) -> Landed:
        """What bronze has of the sending, once landing has passed its end."""
        lake, found = Lake(self._settings), Landed()
        version = commits.reconcile(lake, Ledger(self._settings), self._raw)
        if not self._sending.spans or version < 0:
            return found
        sql = (
            "select event_hour, split_part(error, ':', 1) as code, count(*) as n "
            f"from {self._ours(self._days() + ' and ' + self._span())} group by 1, 2"
        )
        for row in lake.query(self._raw.uri, sql, version).to_pylist():
            if row["code"] is None:
                found.hours[commits.utc(row["event_hour"])] = row["n"]
            else:
                found.dead[row["code"]] += row["n"]
        return found

    def pending(self, hours: set[datetime]) -> dict[str, int]:
        """Stage -> how many of these event hours it has still to use; held ones are not among."""
        ledger, grain, look_back = (
            Ledger(self._settings),
            self._stream.grain,
            self._stream.look_back,
        )
        found = {}
        for place, (source, consumer) in enumerate(pairwise(self._chain)):
            limit = None if place else look_back
            lags = ledger.pending(consumer, source, limit, grain)
            if count := len(hours.intersection(lags)):
                found[consumer] = count
        return found

    def arrived(self, hours: dict[datetime, int]) -> Arrived:
        """Compare the sending's events with silver's, for hours in which nothing is pending."""
        lake, ledger = Lake(self._settings), Ledger(self._settings)
        version = commits.reconcile(lake, ledger, self._raw)
        refined = commits.reconcile(lake, ledger, self._typed)
        if not hours:
            return Arrived()
        look_back, grain = self._stream.look_back, self._stream.grain
        lags = ledger.held(self._typed.table_id, self._raw.table_id, look_back, grain)
        withheld = {lag.event_hour for lag in lags}
        published = held = missing = repeated = 0
        extents = ledger.extents(self._raw.table_id, version, min(hours), max(hours))
        wanted = [extent for extent in extents if extent.event_hour in hours]
        for batch in event_counts.batches(wanted, _BATCH_ROWS):
            ours, others, rows = self._ids(lake, version, batch)
            there = self._silver(lake, refined, batch)
            published += len(ours & there)
            left = Counter(commits.utc(hour) in withheld for hour, _ in ours - there)
            held, missing = held + left[True], missing + left[False]
            # Rows of one id are one event; and an event that was there before adds nothing.
            repeated += rows - len(ours - others)
        return Arrived(published, held, missing, repeated)

    def _ids(
        self, lake: Lake, version: int, batch: Sequence[Extent]
    ) -> tuple[set[tuple[datetime, str]], set[tuple[datetime, str]], int]:
        """(events of the sending, events of other rows, rows of the sending) in some hours."""
        since, until = min(e.ingest_first for e in batch), max(e.ingest_last for e in batch)
        low, high = partitions.days(since, until, self._raw.grain)
        days = f"ingest_date between date '{low}' and date '{high}'"
        where = f"error is null and {days} and {_among(batch)}"
        ours: set[tuple[datetime, str]] = set()
        rows = 0
        columns = "event_hour, event_id"
        mine = self._ours(f"{where} and {self._span()}")
        for row in lake.stream(self._raw.uri, f"select {columns} from {mine}", version):
            ours.add((row["event_hour"], row["event_id"]))
            rows += 1
        # Ids of a field may have come from anybody; ours in a header only from a file like this.
        like = f" and {self._begins()}" if self._of_header else ""
        other = f"select {columns} from t where {where}{like} and not {self._span()}"
        others = {
            key
            for row in lake.stream(self._raw.uri, other, version)
            if (key := (row["event_hour"], row["event_id"])) in ours
        }
        return ours, others, rows

    def _silver(
        self, lake: Lake, version: int, batch: Sequence[Extent]
    ) -> set[tuple[datetime, str]]:
        if version < 0:
            return set()
        first, last = batch[0].event_hour, batch[-1].event_hour
        low, high = (partitions.folder(moment, self._typed.grain) for moment in (first, last))
        days = f"event_date between date '{low}' and date '{high}'"
        like = f" and {self._begins()}" if self._of_header else ""
        sql = f"select event_hour, event_id from t where {days} and {_among(batch)}{like}"
        return {
            (row["event_hour"], row["event_id"])
            for row in lake.stream(self._typed.uri, sql, version)
        }

    def _ours(self, where: str) -> str:
        """What to read rows of the sending from."""
        if self._of_header:
            return f"t where {where} and {self._begins()}"
        columns = 'event_id, event_hour, error, partition, "offset"'
        begins = self._sending.ids.encode().hex()
        return (
            f"(select {columns}, unnest(headers) as h from t where {where}) "
            f"where h['key'] = 'ce_id' and starts_with(encode(h['value'], 'hex'), '{begins}')"
        )

    def _begins(self) -> str:
        return f"starts_with(event_id, '{self._sending.ids}')"

    def _span(self) -> str:
        spans = self._sending.spans
        start, end = ({p: span[side] for p, span in spans.items()} for side in (0, 1))
        return f"({commits.slice_condition(self._sending.topic_id, start, end)})"

    def _days(self) -> str:
        first, last = self._sending.began_at - _A_DAY, datetime.now(UTC) + _A_DAY
        return f"ingest_date between date '{first:%Y-%m-%d}' and date '{last:%Y-%m-%d}'"


def _among(batch: Sequence[Extent]) -> str:
    first, last = (f"to_timestamp('{batch[i].event_hour:%Y-%m-%dT%H:%M:%SZ}')" for i in (0, -1))
    return f"event_hour >= {first} and event_hour <= {last}"
