"""Is bronze whole, and does it hold no more bad messages than the contract puts up with.

Belongs here: slices without a hole, the share of open dead letters. Reads the ledger and the
newest ingest days. Does not belong here: the arithmetic of slices (`slice_chain.py`), the letters
(`dead_letters.py`), Dagster's check results.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from de_stack.flow import commits
from de_stack.flow.bronze import bronze
from de_stack.flow.decisions import Decisions
from de_stack.flow.ledger import Ledger
from de_stack.flow.letter_ledger import LetterLedger
from de_stack.flow.letter_shelf import position_of
from de_stack.flow.slice_chain import Link, broken_links
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.settings import Settings

_LINKS = (
    "select slice, details->'topic_id', details->'start', details->'end', details->'landed' "
    "from ledger.commits where table_id = %s and version <= %s and kind = 'land' "
    "order by slice desc limit %s"
)
# The check after each run looks at slices that the ones before it have not seen, and many more.
_NEWEST = 10_000


@dataclass(frozen=True)
class Chain:
    """Slices that were looked at, up to a version of bronze, and what is wrong with them."""

    slices: int
    version: int
    broken: list[str]


@dataclass(frozen=True)
class LetterShare:
    """Of the messages that the broker took since a time: how many, and open dead letters."""

    since: datetime
    version: int
    messages: int
    open: int

    @property
    def share(self) -> float:
        """Open letters among messages; 0 where there was no message."""
        return self.open / self.messages if self.messages else 0.0


def offset_chain(settings: Settings, stream: Stream, newest: int = _NEWEST) -> Chain:
    """Hold the newest slices against each other, as the commits in the ledger say them.

    `de-stack ledger check` looks at all. Seen on two busy cores: 100,000 slices of three partitions
    take 10 s, 10,000 take 1 s.

    Raises:
        Failure: a system was away, or log and ledger disagree.
    """
    table = bronze(settings, stream)
    version = commits.reconcile(Lake(settings), Ledger(settings), table)
    words = ("topic_id", "start", "end", "landed")
    with Postgres(settings, "ledger").transaction("read the slices", timeout_s=60) as db:
        rows = db.execute(_LINKS, (table.table_id, version, newest + 1)).fetchall()
    rows.reverse()
    links = [Link.of(number, dict(zip(words, said, strict=True))) for number, *said in rows]
    before = links.pop(0) if len(links) > newest else None
    decided = Decisions(settings, table.table_id).of_landing()
    return Chain(len(links), version, list(broken_links(links, *decided, before)))


def letter_share(settings: Settings, stream: Stream, now: datetime) -> LetterShare:
    """Open dead letters among the messages of the contract's window before `now`.

    A letter is open until a message that repeats it has landed. Only the folders of those days are
    read.

    Raises:
        Failure: a system was away, or log and ledger disagree.
    """
    lake, table = Lake(settings), bronze(settings, stream)
    version = commits.reconcile(lake, Ledger(settings), table)
    since = now - stream.error_rate_window
    if version < 0:
        return LetterShare(since, version, 0, 0)
    # A day more: the folder is the date of the broker's time, in UTC.
    where = (
        f"ingest_date >= date '{since - timedelta(days=1):%Y-%m-%d}' "
        f"and broker_time >= to_timestamp('{since:%Y-%m-%dT%H:%M:%SZ}')"
    )
    sql = f"select count(*) as messages, count(error) as dead from t where {where}"
    (row,) = lake.query(table.uri, sql, version).to_pylist()
    repeated = 0
    entries = LetterLedger(settings, table.table_id).replays().values()
    landed = {entry.position for entry in entries if entry.landed_at}
    if landed and row["dead"]:
        sql = f'select topic_id, partition, "offset" from t where error is not null and {where}'
        dead = lake.query(table.uri, sql, version).to_pylist()
        repeated = sum(position_of(one) in landed for one in dead)
    return LetterShare(since, version, row["messages"], row["dead"] - repeated)
