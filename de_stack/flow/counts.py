"""Where the rows of a stream are, counted in each room.

Belongs here: one honest count per room, and whether they agree. Does not belong here: printing,
waiting, the check after each run (`reconciliation.py`).

Memory is bounded whatever the tables hold: distinct ids are counted in batches of event hours, and
what has to be looked for in all rows goes by in a stream. Rows that repeat letters are looked for
in the days since the first letter was sent again.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING

from de_stack.flow import commits, event_counts
from de_stack.flow.bronze import bronze
from de_stack.flow.dead_letters import replays_sql
from de_stack.flow.land import waiting
from de_stack.flow.ledger import Ledger
from de_stack.flow.letter_ledger import LetterLedger
from de_stack.flow.letter_shelf import headers_of, position_of
from de_stack.flow.letters import repeats
from de_stack.flow.refine import silver
from de_stack.naming import split_asset
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from datetime import datetime

    from de_stack.contracts import Stream
    from de_stack.flow.tables import Table
    from de_stack.settings import Settings


@dataclass(frozen=True)
class Counts:
    """Rows of one stream.

    `waiting` are offsets in Kafka that have not landed, `pending` event hours that some stage has
    still to use, `held` events that a person has to release (`flow.late`), `published` the sum of
    the contract's counting column in Postgres (`accountedIn`). `replayed` are rows that repeat a
    dead letter: nobody accepted them, and the letter is no longer `dead` with them.
    """

    waiting: int
    bronze: int
    replayed: int
    dead: int
    duplicates: int
    silver: int
    published: int
    pending: int
    held: int = 0

    @property
    def settled(self) -> bool:
        """Nothing is under way."""
        return not self.waiting and not self.pending

    @property
    def agree(self) -> bool:
        """Each accepted row is in silver, a duplicate, dead or held; Postgres counts silver."""
        return (
            self.bronze - self.replayed == self.silver + self.duplicates + self.dead + self.held
            and self.silver == self.published
        )


def count(settings: Settings, stream: Stream) -> Counts:
    """Count a stream's rows in each room as it is now.

    Raises:
        Failure: a system was away, or log and ledger disagree. Nothing is taken for zero.
    """
    lake, ledger, names = Lake(settings), Ledger(settings), settings.names
    raw, typed = bronze(settings, stream), silver(settings, stream)
    # What is under way is read before the rows: whatever moves in between was seen as under way.
    ahead = waiting(settings, stream)
    for table in (raw, typed):
        commits.reconcile(lake, ledger, table)
    served, column = stream.accounted_in
    chain = [f"bronze_{stream.entity}", f"silver_{stream.entity}", served, f"published_{served}"]
    ids = [names.table_id(stream.domain, *split_asset(name)) for name in chain]
    first = ledger.lagging(ids[1], ids[0], stream.grain, stream.look_back)
    pending = {lag.event_hour for lag in first if not lag.is_held}
    pending |= {
        h
        for source, user in pairwise(ids[1:])
        for h in ledger.pending(user, source, grain=stream.grain)
    }
    held = [lag.event_hour for lag in first if lag.is_held]
    landed = dead = again = rows = replayed = repeated = withheld = 0
    if (version := commits.reconcile(lake, ledger, raw)) >= 0:
        sql = "select count(*) as landed, count(error) as dead from t"
        (row,) = lake.query(raw.uri, sql, version).to_pylist()
        landed, dead = row["landed"], row["dead"]
        again = sum(n - ids for n, ids in event_counts.events(settings, raw, version).values())
        replayed, repeated = _replays(settings, raw, version)
    if commits.reconcile(lake, ledger, typed) >= 0:
        rows = lake.row_count(typed.uri) or 0
    if held:
        found = event_counts.events(settings, raw, version, held[0], held[-1], set(held))
        withheld = sum(ids for _, ids in found.values()) - _of(lake, typed, "count(*) as n", held)
    return Counts(
        waiting=ahead,
        bronze=landed,
        replayed=replayed,
        dead=dead - repeated,
        duplicates=again,
        silver=rows,
        published=_published(settings, names.schema(stream.domain), served, column),
        pending=len(pending),
        held=withheld,
    )


def _replays(settings: Settings, raw: Table, version: int) -> tuple[int, int]:
    """(rows that repeat a dead letter, dead letters that a row repeats)."""
    # Headers are read only where somebody has ever sent a letter again, and from that day on.
    entries = LetterLedger(settings, raw.table_id).replays().values()
    if not entries:
        return 0, 0
    # A day for clocks that differ.
    since = min(entry.entered_at for entry in entries) - timedelta(days=1)
    lake, again = Lake(settings), {}
    where = f"ingest_date >= date '{since.astimezone(UTC):%Y-%m-%d}'"
    for row in lake.stream(raw.uri, replays_sql(where), version):
        again[position_of(row)] = repeats(headers_of(row))[-1:]
    named = {position for last in again.values() for position in last}
    sql = 'select topic_id, partition, "offset" from t where error is not null'
    dead = sum(position_of(row) in named for row in lake.stream(raw.uri, sql, version))
    return len([last for last in again.values() if last]), dead


def _of(lake: Lake, table: Table, what: str, hours: list[datetime]) -> int:
    listed = ", ".join(f"to_timestamp('{hour:%Y-%m-%dT%H:%M:%SZ}')" for hour in hours)
    found = lake.query(table.uri, f"select {what} from t where event_hour in ({listed})")
    return found.to_pylist()[0]["n"]


def _published(settings: Settings, schema: str, table: str, column: str) -> int:
    from psycopg import sql

    with Postgres(settings, "serving").transaction(f"count {schema}.{table}") as connection:
        there = connection.execute("select to_regclass(%s)", (f'"{schema}"."{table}"',)).fetchone()
        if there == (None,):
            return 0
        statement = sql.SQL("select coalesce(sum({}), 0) from {}.{}").format(
            *map(sql.Identifier, (column, schema, table))
        )
        row = connection.execute(statement).fetchone()
    return int(row[0]) if row else 0
