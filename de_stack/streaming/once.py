"""Queries in one go: all that their topics have now, in batches, then an end.

Belongs here: running one after the other to its end. Does not belong here: what one is
(`flow.continuous`), running for ever (`host.py`).

It goes on from the checkpoint of the continuous form and leaves it where that goes on: a cluster
without a host that always runs calls this from time to time.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TYPE_CHECKING

from de_stack.failures import Failure, PermanentFailure, TransientFailure
from de_stack.flow.continuous.running import alone, begin
from de_stack.streaming import progress
from de_stack.streaming.accounts import is_for_good, why
from de_stack.streaming.hosted import broken_off

if TYPE_CHECKING:
    import threading

    from pyspark.sql import SparkSession

    from de_stack.flow.continuous.query import Query
    from de_stack.settings import Settings

log = logging.getLogger(__name__)
_LOOK_S = 1


def run_once(
    settings: Settings, session: SparkSession, queries: Iterable[Query], stop: threading.Event
) -> None:
    """Run each to its end; told to stop, the one at work is stopped and no other begun.

    Raises:
        PermanentFailure: what no retry mends.
        TransientFailure: a system was away, or another process has the query.
    """
    for query in queries:
        if stop.is_set():
            return
        tried = f"run query {query.name} in one go"
        with alone(settings, query) as still_ours:
            try:
                running = begin(settings, session, query, still_ours, once=True)
                while not running.awaitTermination(_LOOK_S):
                    if stop.is_set():
                        with broken_off(query.name):
                            running.stop()
            except Failure:
                raise
            except Exception as error:
                text = str(error) or repr(error)
                kind = PermanentFailure if is_for_good(text) else TransientFailure
                raise kind(tried, why(text), page="stream-query") from error
            done = [p for p in progress.since(running, {}) if progress.has_run(p)]
            rows = sum(progress.measured(p).input_rows for p in done)
            said = "stopped" if stop.is_set() else "read all"
            log.info(said, extra={"query": query.name, "batches": len(done), "input_rows": rows})
