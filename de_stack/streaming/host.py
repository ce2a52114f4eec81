"""Runs the queries that are wanted, on one driver, until told to stop.

Belongs here: the loop, what is told of it (ledger, status files). Does not belong here: one query's
life (`hosted.py`), the driver (`session.py`).
"""

from __future__ import annotations

import logging
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from de_stack.failures import Failure, TransientFailure
from de_stack.flow.continuous.batches import Batches
from de_stack.flow.continuous.running import alone, begin, checkpoint_of
from de_stack.streaming.hosted import LAST_BATCH_S, Hosted
from de_stack.streaming.statuses import Statuses
from de_stack.streaming.wanted import Wanted

if TYPE_CHECKING:
    import threading

    from pyspark.sql import SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from de_stack.flow.continuous.batches import Measured
    from de_stack.flow.continuous.query import Query
    from de_stack.settings import Settings

log = logging.getLogger(__name__)
_LOOK_S = 0.5
_TIDY_S = 3600.0
# Parity is asked of rows as long as the topic may have them.
_MARGIN = timedelta(days=1)


class Host:
    """All queries of one process."""

    def __init__(self, settings: Settings, session: SparkSession, queries: Mapping[str, Query]):
        self._settings, self._session = settings, session
        self.hosted = {name: Hosted(query) for name, query in queries.items()}
        self._queries = queries
        self._wanted, self._statuses = Wanted(settings.home), Statuses(settings.home)
        self._tidied = 0.0
        self._speaks_of = frozenset(queries)
        self._ours: dict[str, ExitStack] = {}

    def run(self, stop: threading.Event, only: frozenset[str] = frozenset()) -> None:
        """Until told to stop. `only`: these queries, whatever the file says.

        Raises:
            TransientFailure: Spark's driver has gone: another process has to begin.
        """
        # Of the others another host of this home may have more to say.
        self._speaks_of = only or self._speaks_of
        try:
            while not stop.is_set():
                wanted = sorted(only) if only else self._wanted.names(self._queries)
                try:
                    self.step(frozenset(wanted), time.monotonic())
                except Exception:
                    # Whatever Py4J makes of a driver that goes while it is asked.
                    self._check_driver(wait_s=2)
                    raise
                stop.wait(_LOOK_S)
        finally:
            deadline = time.monotonic() + LAST_BATCH_S
            for name, hosted in self.hosted.items():
                _gently(partial(self._end, hosted, deadline))
                self._let_go(name)
            _gently(self._tell)

    def step(self, wanted: frozenset[str], now: float) -> None:
        """One look at everything."""
        self._check_driver()
        for name, hosted in self.hosted.items():
            news = hosted.look(now)
            if name not in wanted:
                if hosted.state != "stopped":
                    self._end(hosted)
            else:
                hosted.begin(self._start, now)
            if hosted.state != "running":
                self._let_go(name)
            self._enter(hosted, news)
        if now - self._tidied > _TIDY_S:
            self._tidied = now
            _gently(self._tidy)
        # Where it cannot be written down how they are, they run all the same.
        _gently(self._tell)

    def _start(self, query: Query) -> StreamingQuery:
        self._let_go(query.name)
        self._ours[query.name] = held = ExitStack()
        still_ours = held.enter_context(alone(self._settings, query))
        if self._wanted.is_anew(query.name):
            suffix = f"before-{datetime.now(UTC):%Y%m%dT%H%M%S}"
            moved = checkpoint_of(self._settings, self._session, query).move_away(suffix)
            self._wanted.done_anew(query.name)
            log.info("begins anew", extra={"query": query.name, "old_checkpoint": moved})
        self._session.sparkContext.setLocalProperty("spark.scheduler.pool", query.name)
        return begin(self._settings, self._session, query, still_ours)

    def _end(self, hosted: Hosted, deadline: float | None = None) -> None:
        """Stop a query; the figures of what it finished until then are entered, too."""
        self._enter(hosted, hosted.end(deadline))

    def _enter(self, hosted: Hosted, news: list[Measured]) -> None:
        try:
            self._batches(hosted.query).measure(news)
        except Failure as failure:
            # Only figures for people are lost: which batch had what is entered by the query.
            log.warning("figures were not entered", extra={"why": str(failure)})

    def _let_go(self, name: str) -> None:
        """Another process may have the query."""
        if (held := self._ours.pop(name, None)) is not None:
            _gently(held.close)

    def _batches(self, query: Query) -> Batches:
        return Batches(self._settings, self._settings.names.query(query.domain, query.entity))

    def _tidy(self) -> None:
        for hosted in self.hosted.values():
            keep = hosted.query.reads.retention + _MARGIN
            self._batches(hosted.query).forget_before(datetime.now(UTC), keep)

    def _check_driver(self, wait_s: float = 0) -> None:
        gateway: Any = self._session.sparkContext._gateway  # noqa: SLF001
        process: subprocess.Popen[bytes] = gateway.proc
        with suppress(subprocess.TimeoutExpired):
            process.wait(wait_s)
        if process.poll() is not None:
            raise TransientFailure(
                "run continuous queries",
                f"Spark's driver has ended with code {process.returncode}",
                "it is begun again; `de-stack logs streams` says why",
                page="stream-query",
            )

    def _tell(self) -> None:
        for name in self._speaks_of:
            hosted = self.hosted[name]
            self._statuses.tell(name, _told(hosted), has_it=hosted.state == "running")


def _told(hosted: Hosted) -> dict[str, Any]:
    from de_stack.streaming import progress

    told: dict[str, Any] = {
        "state": hosted.state,
        "error": hosted.error,
        "restarts": hosted.restarts,
    }
    if hosted.last:
        found = progress.measured(hosted.last)
        moment = progress.watermark(hosted.last)
        told |= {
            **vars(found),
            "watermark": moment.isoformat() if moment else None,
            "at": hosted.last["timestamp"],
        }
    return told


def _gently(call: Callable[[], None]) -> None:
    """What is only tidying up must not end the host, and is not passed over."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - of Spark, Py4J, Postgres; the log has it
        log.warning("went wrong while tidying up", extra={"why": str(error)[:500]})
