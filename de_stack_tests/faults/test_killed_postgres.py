"""SIGKILL to Postgres inside the transaction that publishes, under the eyes of a reader."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from datetime import datetime

import psycopg
import pytest

from de_stack import partitions
from de_stack_tests.faults.lab import Lab, Reader

HOURS = 30


@pytest.fixture
def reader(lab: Lab) -> Iterator[Reader]:
    reader = Reader(lab.settings)
    yield reader
    reader.end()


def per_hour(lab: Lab) -> set[tuple[datetime, int]]:
    return set(Counter(partitions.floor(at, "hour") for _, _, at in lab.sent.values()).items())


def wait_for_the_transaction(lab: Lab) -> None:
    """Return while the publishing transaction is open."""
    seen = "from pg_locks l join pg_class c on c.oid = l.relation where l.pid <> pg_backend_pid()"
    deadline = time.monotonic() + 90
    with psycopg.connect(lab.settings.need("serving_dsn"), autocommit=True) as db:
        while not db.execute(
            f"select 1 {seen} and c.relname = 'applied' and l.mode = 'RowExclusiveLock'"
        ).fetchall():
            assert time.monotonic() < deadline, "nothing was ever published"
            time.sleep(0.001)


@pytest.mark.naive("publish_step_by_step")
def test_a_postgres_killed_while_it_is_published_to_never_shows_half_and_the_next_tick_mends_it(
    lab: Lab, reader: Reader
) -> None:
    lab.send(400, HOURS)
    lab.settle(tries=1)
    before = per_hour(lab)
    reader.start()
    lab.send(400, HOURS)
    after = per_hour(lab)
    worker = lab.worker("tick")
    wait_for_the_transaction(lab)
    time.sleep(lab.pick(0, 0.15))
    lab.kill("postgres")
    done = worker.end()
    assert done.is_good or "a retry can help" in done.said, done.said[-6000:]
    lab.ready("postgres")
    lab.settle()
    deadline = time.monotonic() + 20
    while not after <= reader.seen and time.monotonic() < deadline:
        time.sleep(0.1)
    reader.end()
    assert reader.seen <= before | after, "a reader saw an hour between two versions"
    assert after <= reader.seen
    lab.check()
