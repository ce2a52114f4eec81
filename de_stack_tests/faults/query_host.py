"""A host of continuous queries as a fault test wants it, to be run by `python -m`.

Belongs here: naive ways in force, a death right after a sink has a batch, one more query, that
gives closed windows to Postgres. Does not belong here: who starts it, what must come out.

`DE_STACK_TEST_DIES` is `QUERY:N`: SIGKILL in the N-th batch that gave rows, after the sink has them
and before anybody else knows; `QUERY:last`: the same in the batch that reads the topic's end. With
`DE_STACK_TEST_UNLOCKED` nobody asks who runs a query.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest import mock

from de_stack.defs.stocks import stream
from de_stack.defs.stocks.core import schema
from de_stack.flow.continuous.lake_sink import LakeSink
from de_stack.flow.continuous.query import Query
from de_stack.flow.continuous.table_sink import TableSink
from de_stack.flow.continuous.topic_sink import TopicSink
from de_stack.resources.kafka import Kafka
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings
from de_stack.streaming import host
from de_stack.streaming.__main__ import main
from de_stack.streaming.queries import load_queries
from de_stack_tests.faults import naive

CLOSED_TABLE = Query(
    "stocks",
    "closed_table",
    stream.TICKS,
    stream.AVERAGES.transform,
    "append",
    TableSink(
        "stocks",
        "closed_table",
        tuple((name, kind, text) for name, _, kind, text in schema.AVERAGES),
        schema.AVERAGES_KEY,
        "window_start",
        "Closed windows, as a fault test looks at them.",
    ),
    stream.AVERAGES.shape,
    "Averages of closed windows, in Postgres.",
    is_on=False,
)


def rows_in(sink: Any, settings: Settings) -> int:
    """How many rows or messages are where a sink writes to."""
    if isinstance(sink, TopicSink):
        state = Kafka(settings).topic_state(settings.names.topic(*sink.stream.topic))
        assert state is not None
        return sum(state.end.values()) - sum(state.begin.values())
    if isinstance(sink, LakeSink):
        uri = sink.table(settings).uri
        return Lake(settings).query(uri, "select count(*) as n from t").to_pylist()[0]["n"]
    table = sink.table(settings)
    with Postgres(settings, "serving").transaction("count in a test") as db:
        sql = f'select count(*) from "{table.schema}"."{table.name}"'
        ((count,),) = db.execute(sql.encode()).fetchall()
    return count


@contextmanager
def dying(wish: str) -> Iterator[None]:
    """End this process by SIGKILL where a test wants it; never without a wish."""
    if not wish:
        yield
        return
    name, _, moment = wish.partition(":")
    query = load_queries()[name]
    left = [int(moment) if moment != "last" else 0]
    write: Callable[..., Any] = type(query.sink).write

    def then_die(sink: Any, settings: Settings, rows: Any, batch: Any) -> int | None:
        if batch.query != settings.names.query(query.domain, query.entity):
            return write(sink, settings, rows, batch)
        before = rows_in(sink, settings)
        written = write(sink, settings, rows, batch)
        if moment == "last":
            is_now = reads_the_end(settings, batch.number)
        else:
            left[0] -= rows_in(sink, settings) > before
            is_now = left[0] == 0
        if is_now:
            sys.stderr.write(f"{name}: the sink has batch {batch.number}, dying\n")
            sys.stderr.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        return written

    def reads_the_end(settings: Settings, number: int) -> bool:
        from pyspark.sql import SparkSession

        from de_stack.flow.continuous.running import checkpoint_of

        session = SparkSession.getActiveSession()
        assert session is not None
        state = Kafka(settings).topic_state(settings.names.topic(*query.reads.topic))
        assert state is not None
        return checkpoint_of(settings, session, query).planned(number).ends == state.end

    with mock.patch.object(type(query.sink), "write", then_die):
        yield


def unlocked() -> Any:
    """As many hosts as like run a query."""
    return mock.patch.object(host, "alone", return_value=nullcontext(lambda: None))


if __name__ == "__main__":
    load_queries()[CLOSED_TABLE.name] = CLOSED_TABLE
    ways = json.loads(os.environ.get("DE_STACK_TEST_NAIVE", "[]"))
    with (
        naive.applied(ways),
        dying(os.environ.get("DE_STACK_TEST_DIES", "")),
        unlocked() if os.environ.get("DE_STACK_TEST_UNLOCKED") else nullcontext(),
    ):
        code = main()
    sys.exit(code)
