"""Bronze -> Postgres: the messages against the contract, and which of them are settled.

Belongs here: finding letters and replays in what is new in bronze, entering both in one
transaction. Does not belong here: showing them (`letter_shelf.py`), sending them again
(`replay.py`).

Postgres remembers the bronze version that it holds in the same transaction, as for every other
table (`publish.py`). Landings only add rows, so the slices after that version are enough; after a
reparse or a repair any row may have changed, and the table is made anew from one version.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_stack.failures import TransientFailure
from de_stack.flow import commits
from de_stack.flow import letter_shelf as shelf
from de_stack.flow.bronze import bronze
from de_stack.flow.ledger import Ledger
from de_stack.flow.letter_ledger import LetterLedger
from de_stack.flow.letters import REPLAY_OF
from de_stack.flow.publish import WHOLE, claim
from de_stack.flow.serving import ServingTable
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from psycopg import Connection

    from de_stack.contracts import Stream
    from de_stack.settings import Settings

_ROW = 'topic_id, partition, "offset", broker_time, event_id, error, key, headers, value, '


@dataclass(frozen=True)
class Entered:
    """Bronze version that Postgres holds; letters and replays that this call found there.

    `open` and `total` count Postgres' letters afterwards.
    """

    source_version: int
    letters: int
    replays: int
    open: int
    total: int


def consumer_of(settings: Settings, stream: Stream) -> str:
    """How the ledger calls it."""
    return settings.names.table_id(stream.domain, "dead", stream.entity)


def has_news(settings: Settings, stream: Stream) -> bool:
    """True if bronze may have letters, or replays of some, that Postgres has not."""
    used = Ledger(settings).applied(consumer_of(settings, stream), WHOLE)
    letters = LetterLedger(settings, bronze(settings, stream).table_id)
    return letters.has_news(-1 if used is None else used)


def enter_letters(settings: Settings, stream: Stream, run_id: str) -> Entered:
    """Bring Postgres to bronze's newest version.

    Raises:
        TransientFailure: a system was away, or somebody dropped the table meanwhile.
        PermanentFailure: log and ledger disagree.
    """
    source, table = bronze(settings, stream), shelf.dead_table(settings, stream)
    lake, ledger, consumer = Lake(settings), Ledger(settings), consumer_of(settings, stream)
    tried = f"enter dead letters in {table.schema}.{table.name}"
    postgres, letters = Postgres(settings, "serving"), LetterLedger(settings, source.table_id)
    version = commits.reconcile(lake, ledger, source)
    with postgres.transaction(tried) as connection:
        used = None if _made(connection, table, consumer) else _used(connection, consumer)
    found: list[dict[str, Any]] = []
    links: list[dict[str, Any]] = []
    new = letters.commits(-1 if used is None else used, version)
    anew = used is None or any(kind != "land" for kind, _ in new)
    if version >= 0 and new:
        where = "true" if anew else _slices([details for _, details in new])
        # Not held open during the read: the lock of `ensure` keeps every publication back.
        sql = f"select {_ROW} contract_version from t where error is not null and {where}"
        found = lake.query(source.uri, sql, version).to_pylist()
        links = lake.query(source.uri, replays_sql(where), version).to_pylist()
    with postgres.transaction(tried, timeout_s=600) as connection:
        if _made(connection, table, consumer) and not anew:
            raise TransientFailure(tried, "the table was dropped while bronze was read")
        if new and claim(connection, consumer, [WHOLE], version, run_id):
            if anew:
                shelf.clear(connection, table)
            shelf.insert(connection, table, found)
            shelf.settle(connection, table, links)
        waiting = [p for p, entry in letters.replays().items() if entry.landed_at is None]
        landed = shelf.landed_of(connection, table, waiting)
        still_open, total = shelf.count(connection, table)
    letters.landed(landed)
    if version >= 0:
        ledger.apply(consumer, [WHOLE], version, run_id)
    return Entered(version, len(found), len(links), still_open, total)


def replays_sql(where: str) -> str:
    """SQL for the rows of bronze that repeat letters; a row that names two comes twice."""
    columns = 'topic_id, partition, "offset", broker_time, error, headers'
    return (
        f"select {columns} from (select {columns}, unnest(headers) as h from t where {where}) "
        f"where h['key'] = '{REPLAY_OF}'"
    )


def _slices(landings: Iterable[dict[str, Any]]) -> str:
    """Condition for the rows of landings: a slice begins where the last one ended."""
    spans: dict[str, tuple[dict[str, int], dict[str, int]]] = {}
    for details in landings:
        start, end = spans.setdefault(details["topic_id"], ({}, {}))
        for p in details["end"]:
            start[p] = min(start.get(p, details["start"][p]), details["start"][p])
            end[p] = max(end.get(p, 0), details["end"][p])
    return "(" + " or ".join(commits.slice_condition(t, *s) for t, s in spans.items()) + ")"


def _made(connection: Connection, table: ServingTable, consumer: str) -> bool:
    made = shelf.make(connection, table)
    if made:
        connection.execute("delete from de_stack.applied where consumer = %s", (consumer,))
    return made


def _used(connection: Connection, consumer: str) -> int | None:
    row = connection.execute(
        "select source_version from de_stack.applied where consumer = %s and event_hour = %s",
        (consumer, WHOLE),
    ).fetchone()
    return row[0] if row else None
