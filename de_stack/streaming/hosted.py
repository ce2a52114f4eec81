"""One query in the host: begun, failed, begun again, stopped.

Belongs here: the states of a query and what moves it from one to the next. Does not belong here:
which are wanted (`host.py`), what a query is (`flow.continuous`).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from de_stack.failures import Failure, PermanentFailure
from de_stack.streaming import progress
from de_stack.streaming.accounts import is_for_good, why

if TYPE_CHECKING:
    from pyspark.sql.streaming.query import StreamingQuery

    from de_stack.flow.continuous.batches import Measured
    from de_stack.flow.continuous.query import Query

log = logging.getLogger(__name__)
State = Literal["stopped", "running", "retrying", "failed"]
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 30.0
LAST_BATCH_S = 5.0


@dataclass
class Hosted:
    """A query that is wanted, or was. Times are those of a monotonic clock, in seconds."""

    query: Query
    state: State = "stopped"
    error: str = ""
    restarts: int = 0
    last: dict[str, Any] = field(default_factory=dict)
    input_rows: int = 0
    dropped_rows: int = 0
    _running: StreamingQuery | None = None
    _wait_s: float = FIRST_WAIT_S
    _not_before: float = 0.0
    _told: tuple[str, int] = ("", -1)
    _seen: dict[str, Any] = field(default_factory=dict)

    def begin(self, start: Callable[[Query], StreamingQuery], now: float) -> None:
        """Start it, unless it runs, has failed for good, or has to wait after a failure."""
        if self.state in ("running", "failed") or now < self._not_before:
            return
        try:
            self._running = start(self.query)
        except PermanentFailure as failure:
            self._failed(str(failure), now, for_good=True)
        except Failure as failure:
            self._failed(str(failure), now, for_good=False)
        except Exception as error:  # noqa: BLE001 - of Spark, Py4J, Delta: it is this query's alone
            text = str(error) or repr(error)
            self._failed(why(text), now, for_good=is_for_good(text))
        else:
            self.state = "running"
            log.info("query begun", extra={"query": self.query.name, "restarts": self.restarts})

    def look(self, now: float) -> list[Measured]:
        """What has been done since the last look; a query that ended by itself has failed."""
        if self._running is None:
            return []
        news = self._news()
        if not self._running.isActive:
            error = self._running.exception()
            self._running = None
            text = str(error) if error else "it ended without a word"
            self._failed(why(text), now, for_good=is_for_good(text))
        return news

    def _news(self) -> list[Measured]:
        assert self._running is not None  # noqa: S101
        found = progress.since(self._running, self._seen)
        if found:
            self._seen = found[-1]
        done = [p for p in found if progress.has_run(p)]
        if done:
            self.last = done[-1]
        news = [m for m in map(progress.measured, done) if self._is_news(m)]
        if news:
            self._told = (news[-1].query_id, news[-1].batch_id)
            self.input_rows += sum(m.input_rows for m in news)
            self.dropped_rows += sum(m.dropped_rows for m in news)
            self.error, self._wait_s = "", FIRST_WAIT_S
        return news

    def _is_news(self, found: Measured) -> bool:
        query_id, number = self._told
        return found.query_id != query_id or found.batch_id > number

    def end(self, deadline: float | None = None) -> list[Measured]:
        """Stop it; what it has done since the last look.

        A batch that is still under way after some seconds is repeated at the next start.
        """
        news: list[Measured] = []
        if self._running is not None:
            # A batch that is broken off is said by Spark as a failure, with all its stacks.
            deadline = deadline or time.monotonic() + LAST_BATCH_S
            while self._running.status["isTriggerActive"] and time.monotonic() < deadline:
                time.sleep(0.02)
            with broken_off(self.query.name):
                self._running.stop()
            news = self._news()
            self._running = None
            log.info("query stopped", extra={"query": self.query.name})
        self.state, self.error, self._wait_s, self._not_before = "stopped", "", FIRST_WAIT_S, 0.0
        return news

    def _failed(self, text: str, now: float, *, for_good: bool) -> None:
        self.error = text
        self.state = "failed" if for_good else "retrying"
        told = {"query": self.query.name, "why": text}
        if for_good:
            log.error("query failed", extra=told)
            return
        log.warning("query failed, trying again", extra={**told, "in_s": self._wait_s})
        self.restarts += 1
        self._not_before = now + self._wait_s
        self._wait_s = min(self._wait_s * 2, LONGEST_WAIT_S)


@contextmanager
def broken_off(name: str) -> Iterator[None]:
    """One line, not Py4J's page of stacks, of a batch that began when the query was stopped."""

    def is_told(record: logging.LogRecord) -> bool:
        if "Python Proxy" not in record.getMessage():
            return True
        log.info("its batch was broken off and comes again", extra={"query": name})
        return False

    callbacks = logging.getLogger("py4j.clientserver")
    callbacks.addFilter(is_told)
    try:
        yield
    finally:
        callbacks.removeFilter(is_told)
