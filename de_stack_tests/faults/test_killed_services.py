"""SIGKILL to a run worker, to Spark, to the broker and to Postgres, at random moments of a tick.

A tick lands, derives and publishes; a reader looks at the published numbers all the time.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime

import psycopg
import pytest

from de_stack import partitions
from de_stack.flow.bronze import bronze
from de_stack.resources.lake import Lake
from de_stack_tests.faults.account import STREAM
from de_stack_tests.faults.lab import Lab, Reader
from de_stack_tests.faults.worker import Worker
from de_stack_tests.seeds import share

pytestmark = pytest.mark.alone

HOURS = 12
# Spark's client may wait for a server that is gone for half a minute, and for one that starts.
LONGEST_S = 60


@pytest.fixture
def reader(lab: Lab) -> Iterator[Reader]:
    reader = Reader(lab.settings)
    yield reader
    reader.end()


def kill_run_worker(lab: Lab, seconds: float) -> None:
    worker = lab.worker("tick")
    time.sleep(lab.pick(0, seconds))
    worker.kill()
    worker.end()


def kill_spark(lab: Lab, seconds: float) -> None:
    _kill(lab, "spark", seconds, lambda _: _after(lab.pick(0, seconds)))


def kill_broker_in_landing(lab: Lab, seconds: float) -> None:
    _kill(lab, "kafka", seconds, lambda _: _after(lab.pick(0, seconds / 3)))


def kill_postgres_in_publishing(lab: Lab, seconds: float) -> None:
    _kill(lab, "postgres", seconds, lambda worker: _in_the_transaction(lab, worker))


def _kill(
    lab: Lab,
    service: str,
    seconds: float,
    moment: Callable[[Worker], AbstractContextManager[None]],
) -> None:
    worker = lab.worker("tick")
    with moment(worker):
        killed = time.monotonic()
        lab.kill(service)
    done = worker.end()
    since = time.monotonic() - killed
    # It had done its work before, or says that a retry can help.
    print(done.said[-6000:])
    assert done.is_good or "a retry can help" in done.said
    if done.is_good:
        # What waited, and did its work after all on a cold service, may take both.
        assert since < seconds + 2 * LONGEST_S
        assert done.silent < LONGEST_S, "a run must not hang on a service that is gone"
    else:
        assert done.seconds < LONGEST_S, "a run must not hang on a service that is gone"
    lab.ready(service)


@contextmanager
def _after(seconds: float) -> Iterator[None]:
    time.sleep(seconds)
    yield


@contextmanager
def _in_the_transaction(lab: Lab, worker: Worker) -> Iterator[None]:
    """In the publishing transaction, or up to 100 ms after its first row.

    It is over in milliseconds: it is kept waiting before its rows until it has been seen.
    """
    table = f"{lab.settings.names.schema('telemetry')}.stats_measures"
    waits = (
        "select 1 from pg_locks where relation = %s::regclass "
        "and mode = 'RowExclusiveLock' and not granted"
    )
    dsn, is_held = lab.settings.need("serving_dsn"), lab.pick(0, 1) < 0.5
    with (
        suppress(psycopg.OperationalError),  # At its own end, when its server was killed.
        psycopg.connect(dsn) as gate,
    ):
        gate.execute(f"lock table {table} in share mode".encode())
        with psycopg.connect(dsn, autocommit=True) as db:
            while not db.execute(waits, (table,)).fetchall():
                assert worker.lives, "the tick ended and had published nothing"
                time.sleep(0.003)
        if is_held:
            yield
    if not is_held:
        time.sleep(lab.pick(0, 0.1))
        yield


FAULTS = (kill_run_worker, kill_spark, kill_broker_in_landing, kill_postgres_in_publishing)


@pytest.mark.naive("offsets_beside_the_rows")
@pytest.mark.naive("publish_step_by_step")
def test_whatever_is_killed_nothing_is_lost_or_repeated_and_no_reader_sees_half(
    lab: Lab, reader: Reader, seed: int
) -> None:
    versions: set[tuple[datetime, int]] = set()

    def send() -> set[tuple[datetime, int]]:
        lab.send(150, HOURS)
        hours = (partitions.floor(at, "hour") for _, _, at in lab.sent.values())
        now = set(Counter(hours).items())
        versions.update(now)
        return now

    send()
    first = lab.run("tick")
    assert first.is_good, first.said
    reader.start()
    for fault in share(FAULTS, seed, lab.rng):
        send()
        print(fault.__name__)
        fault(lab, first.seconds)
    last = send()
    lab.settle()
    deadline = time.monotonic() + 20
    while not last <= reader.seen and time.monotonic() < deadline:
        time.sleep(0.1)
    reader.end()
    assert reader.seen <= versions, "a reader saw an hour between two versions"
    assert last <= reader.seen
    lab.check()
    numbers = [
        commit.metadata["slice"]
        for commit in Lake(lab.settings).commits_after(bronze(lab.settings, STREAM).uri, -1)
        if commit.metadata and "slice" in commit.metadata
    ]
    assert numbers == list(range(len(numbers)))
