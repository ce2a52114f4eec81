"""What the ledger knows of continuous queries: their checkpoints and each of their batches.

Belongs here: entries and questions about them. Does not belong here: Spark's files
(`checkpoint.py`), what a sink remembers of its own (`table_sink.py`).

Spark forgets batches after a hundred; whether a late row fell behind the watermark is asked days
later. So each batch is entered when its sink has it, before Spark's own commit: what is not entered
yet may be in the sink already, what is entered is.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure
from de_stack.flow.continuous.checkpoint import Planned
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from de_stack.resources.kafka import TopicState
    from de_stack.settings import Settings

_ENTER = """
insert into ledger.query_batches (query, query_id, batch_id, watermark_ms, ends, written_rows)
values (%s, %s, %s, %s, %s, %s)
on conflict (query, query_id, batch_id) do update set attempts = query_batches.attempts + 1
where query_batches.watermark_ms = excluded.watermark_ms and query_batches.ends = excluded.ends
returning 1
"""
_MEASURE = """
update ledger.query_batches set input_rows = %(input_rows)s, state_rows = %(state_rows)s,
    dropped_rows = %(dropped_rows)s, lag_rows = %(lag_rows)s, duration_ms = %(duration_ms)s
where query = %(query)s and query_id = %(query_id)s and batch_id = %(batch_id)s
"""


@dataclass(frozen=True)
class Measured:
    """What Spark says of a finished batch.

    `lag_rows` waited in the topic when it was planned; None for one that comes again after a crash.
    """

    query_id: str
    batch_id: int
    input_rows: int
    state_rows: int
    dropped_rows: int
    lag_rows: int | None
    duration_ms: int


@dataclass(frozen=True)
class History:
    """A checkpoint's batches, oldest first; `starts` is where its first one began."""

    query_id: str
    topic_id: str
    starts: dict[int, int]
    batches: list[Planned]


class Batches:
    """Batches of one query of a namespace. Each call is one transaction."""

    def __init__(self, settings: Settings, query: str) -> None:
        self._postgres, self.query = Postgres(settings, "ledger"), query

    def begin(self, query_id: str, state: TopicState, shape: tuple[str, ...]) -> None:
        """Enter that a checkpoint is used, or hold it against what it was made with.

        Raises:
            PermanentFailure: the topic was made anew since, or the state has another shape.
        """
        tried, text = f"start query {self.query}", json.dumps(shape)
        with self._postgres.transaction(tried) as db:
            db.execute(
                "insert into ledger.queries (query, query_id, topic, topic_id, starts, shape) "
                "values (%s, %s, %s, %s, %s, %s) on conflict (query, query_id) do nothing",
                (self.query, query_id, state.topic, state.topic_id, _json(state.begin), text),
            )
            row = db.execute(
                "select topic_id, shape from ledger.queries where query = %s and query_id = %s",
                (self.query, query_id),
            ).fetchone()
        if row is None:
            raise PermanentFailure(tried, "the ledger did not keep its entry", page="stream-query")
        fix = "begin anew: `de-stack stream start NAME --anew` (from the oldest row in the topic)"
        if row[0] != state.topic_id:
            got = (
                f"topic {state.topic} was made anew: the checkpoint is of topic id {row[0]}, "
                f"the broker has {state.topic_id}"
            )
            raise PermanentFailure(tried, got, fix, page="stream-query")
        if row[1] != json.loads(text):
            got = f"its state was made with {row[1]}, now it is {json.loads(text)}"
            raise PermanentFailure(tried, got, fix, page="stream-query")

    def enter(self, query_id: str, planned: Planned, written: int | None) -> None:
        """Enter a batch that the sink has; a second time it has to be the same batch.

        Raises:
            PermanentFailure: the ledger knows another batch of this number.
        """
        tried = f"enter batch {planned.number} of {self.query}"
        ends = (planned.watermark_ms, _json(planned.ends))
        values = (self.query, query_id, planned.number, *ends, written)
        with self._postgres.transaction(tried) as db:
            if db.execute(_ENTER.encode(), values).fetchone() is None:
                got = "the ledger knows one with other offsets or another watermark"
                raise PermanentFailure(
                    tried,
                    got,
                    "was the checkpoint restored or copied? `de-stack stream start NAME --anew`",
                    page="stream-query",
                )

    def measure(self, found: list[Measured]) -> None:
        """Enter what Spark says of batches; those that are not entered yet are left out."""
        if not found:
            return
        with self._postgres.transaction(f"enter progress of {self.query}") as db:
            db.cursor().executemany(
                _MEASURE.encode(), [{**vars(one), "query": self.query} for one in found]
            )

    def newest(self) -> dict[str, Any] | None:
        """The last batch that Spark has told of, and totals of its checkpoint; None before one."""
        from psycopg.rows import dict_row

        with self._postgres.transaction(f"read batches of {self.query}") as db:
            return (
                db.cursor(row_factory=dict_row)
                .execute(
                    "select b.query_id, b.batch_id, b.watermark_ms, b.done_at, b.input_rows, "
                    "b.state_rows, b.lag_rows, b.duration_ms, t.total_rows, t.total_dropped "
                    "from ledger.query_batches b join lateral (select sum(input_rows)::bigint as "
                    "total_rows, sum(dropped_rows)::bigint as total_dropped from "
                    "ledger.query_batches o where (o.query, o.query_id) = (b.query, b.query_id)) t "
                    "on true where b.query = %s and b.input_rows is not null "
                    "order by b.done_at desc limit 1",
                    (self.query,),
                )
                .fetchone()
            )

    def history(self, since: datetime | None = None) -> History | None:
        """The batches of the checkpoint that was begun last; None before its first.

        `since`: those that were done then or later, and the one before; all that are known without.
        """
        with self._postgres.transaction(f"read batches of {self.query}") as db:
            begun = db.execute(
                "select query_id, topic_id, starts from ledger.queries where query = %s "
                "order by begun_at desc limit 1",
                (self.query,),
            ).fetchone()
            if begun is None:
                return None
            rows = db.execute(
                "select batch_id, watermark_ms, ends from ledger.query_batches "
                "where query = %(query)s and query_id = %(query_id)s and batch_id >= coalesce("
                "(select max(batch_id) from ledger.query_batches where query = %(query)s "
                "and query_id = %(query_id)s and done_at < %(since)s), 0) order by batch_id",
                {"query": self.query, "query_id": begun[0], "since": since},
            ).fetchall()
        starts = {int(p): int(o) for p, o in begun[2].items()}
        found = [
            Planned(number, watermark, {int(p): int(o) for p, o in ends.items()})
            for number, watermark, ends in rows
        ]
        return History(begun[0], begun[1], starts, found)

    def forget_before(self, moment: datetime, keep: timedelta) -> int:
        """Remove entries that are older than anybody asks for; how many."""
        with self._postgres.transaction(f"forget old batches of {self.query}") as db:
            return db.execute(
                "delete from ledger.query_batches b where query = %s and done_at < %s "
                "and batch_id < (select max(batch_id) from ledger.query_batches o "
                "where (o.query, o.query_id) = (b.query, b.query_id))",
                (self.query, moment - keep),
            ).rowcount


def _json(offsets: dict[int, int]) -> str:
    return json.dumps({str(p): o for p, o in sorted(offsets.items())})
