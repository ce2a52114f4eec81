"""Workers on a stream, and kills.

Belongs here: workers, killing services and waiting for them, somebody who reads all the time. Does
not belong here: a fault, what was sent and must come out (`account.py`).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import psycopg

from de_stack.local import postgres, processes, status
from de_stack.local import stack as local
from de_stack.settings import Settings
from de_stack_tests.faults import naive
from de_stack_tests.faults.account import Account
from de_stack_tests.faults.worker import Outcome, Worker, work
from de_stack_tests.kills import kill_pids
from de_stack_tests.sessions import close_session


@contextmanager
def namespace_hidden() -> Iterator[None]:
    """`up` would remember the namespace of this test for the whole stack."""
    kept = os.environ.pop("DE_STACK_NAMESPACE", None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ["DE_STACK_NAMESPACE"] = kept


def pid_of(settings: Settings, service: str) -> int | None:
    """Process id of a service."""
    return {row.name: row.pid for row in status.rows(settings.home)}[service]


def kill(settings: Settings, service: str) -> None:
    """SIGKILL to a service; supervisord starts it again.

    A database goes with all its processes, as with its machine; of a code server's children, some
    are run workers and live on.
    """
    if service == "spark":
        close_session()
    if service == "code_server":
        pid = pid_of(settings, service)
        assert pid, f"{service} does not run"
        kill_pids([pid])
        return
    data = postgres.data(local.site_of(settings.home))
    pids = [p for p, name in processes.of_stack(settings.home, data).items() if name == service]
    assert pids, f"{service} does not run"
    kill_pids(pids)


class Lab(Account):
    """One namespace, whose only producer this is."""

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        super().__init__(settings, rng)
        self._spare: Worker | None = self._worker()

    def _worker(self) -> Worker:
        return Worker({"DE_STACK_TEST_NAIVE": json.dumps(naive.now())})

    def worker(self, step: str) -> Worker:
        """A worker that has just begun a step; the next one warms up meanwhile."""
        ready, self._spare = self._spare or self._worker(), None
        ready.go(step)
        self._spare = self._worker()
        return ready

    def run(self, step: str) -> Outcome:
        """Let a worker do a step to its end."""
        return self.worker(step).end()

    def together(self, step: str) -> list[Outcome]:
        """Let two workers do the same step at the same moment."""
        pair = [self._spare or self._worker(), self._worker()]
        self._spare = None
        for worker in pair:
            worker.ready()
        for worker in pair:
            worker.go(step)
        return [worker.end() for worker in pair]

    def end(self) -> None:
        """End the worker that waits."""
        if self._spare:
            self._spare.kill()
            self._spare.end()

    def pick(self, low: float, high: float) -> float:
        return self.rng.uniform(low, high)

    def kill(self, service: str) -> None:
        """SIGKILL to every process of a service."""
        kill(self.settings, service)

    def ready(self, *services: str) -> None:
        """Wait until services that were killed answer again."""
        with namespace_hidden():
            local.up(list(services))

    def settle(self, tries: int = 2) -> None:
        """Let workers work until nothing waits. A failed one is the fault's; the last must not be.

        The next tick mends what a fault broke: more than one that fails by itself is a defect.
        """
        for attempt in range(tries):
            done = self.run("tick")
            if done.is_good:
                return
            assert attempt < tries - 1, f"the tick after the fault failed: {done.said[-6000:]}"

    def finish(self) -> None:
        """Let nothing wait any more, in this process: cheaper, where no worker has to be killed."""
        work("tick")


class Reader(threading.Thread):
    """Somebody who looks at the served table all the time, and keeps what it saw of each hour."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._settings, self._over = settings, threading.Event()
        self.seen: set[tuple[datetime, int]] = set()
        self.looks = 0

    def run(self) -> None:
        schema = self._settings.names.schema("telemetry")
        sql = (
            "select date_trunc('hour', window_start, 'UTC'), sum(count)::bigint "
            f"from {schema}.stats_measures group by 1"
        ).encode()
        while not self._over.is_set():
            with contextlib.suppress(psycopg.OperationalError):
                self._look(sql)
            time.sleep(0.05)

    def _look(self, sql: bytes) -> None:
        """Look until the database is killed: a connection for each look would cost half a core."""
        with psycopg.connect(self._settings.need("serving_dsn"), autocommit=True) as db:
            while not self._over.is_set():
                self.seen |= set(db.execute(sql).fetchall())
                self.looks += 1
                time.sleep(0.003)

    def end(self) -> None:
        self._over.set()
        if self.ident is not None:
            self.join(30)
