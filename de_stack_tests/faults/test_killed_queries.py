"""SIGKILL to the host of continuous queries: at random moments, and right between two commits.

Trades come in all the time, some out of order, some too late. In the end each sink has what the
rows that were sent must give by the query's own batches, computed without Spark.
"""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import psutil
import pytest

from de_stack.defs.stocks.core import schema
from de_stack.defs.stocks.stream import TOTALS
from de_stack.flow.continuous.query import Batch
from de_stack.resources.kafka import Kafka
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.faults.query_host import CLOSED_TABLE
from de_stack_tests.integration.pipeline import materialize, serving, this_hour
from de_stack_tests.integration.querying import (
    LONG_S,
    TICKS,
    Place,
    Tick,
    Windows,
    differences,
    expected,
    from_lake,
    from_postgres,
    from_topic,
    kill_group,
    send,
)
from de_stack_tests.seeds import SEEDS

BASE = datetime(2018, 8, 21, 11, 0, tzinfo=UTC)
HOST = "de_stack_tests.faults.query_host"
OPEN = "stocks.live_averages"
TOPIC, LAKE, TABLE = "stocks.averages", "stocks.closed_averages", CLOSED_TABLE.name
ALL = (TOPIC, LAKE, TABLE, OPEN)
ORPHAN_S = 20
pytestmark = pytest.mark.timeout(900)


class Flow(threading.Thread):
    """Somebody who trades all the time."""

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        super().__init__(daemon=True)
        self._settings, self._rng, self._over = settings, rng, threading.Event()
        self._second = 0.0
        self.sent: list[Tick] = []

    def some(self, number: int) -> list[Tick]:
        """The next trades: of ten, one is out of order; of thirty, one is too late."""
        found = []
        for _ in range(number):
            self._second += self._rng.uniform(0, 0.3)
            back = self._rng.choices((0, 4, 30), (86, 10, 4))[0]
            at = BASE + timedelta(seconds=self._second + 30 - self._rng.uniform(0, back))
            price = round(self._rng.uniform(1, 500), 2)
            found.append(Tick(self._rng.choice(("AGL", "AMC", "ANZ", "BHP", "CBA")), price, at))
        return found

    def run(self) -> None:
        # As long as what is kept of the open windows: 15 minutes of the trades' time.
        while not self._over.is_set() and self._second < 700:
            self.sent += send(self._settings, self.some(self._rng.randrange(1, 40)))
            self._over.wait(self._rng.uniform(0.05, 0.6))

    def end(self) -> list[Tick]:
        """No more but one trade that closes what was before; all that were sent."""
        self._over.set()
        if self.is_alive():
            self.join(30)
        self._second += 40
        last = BASE + timedelta(seconds=self._second + 30)
        self.sent += send(self._settings, [Tick("AGL", 1.0, last)])
        return self.sent


def jvm_of(process: subprocess.Popen[bytes]) -> psutil.Process | None:
    """The driver of a host, once it is there."""
    try:
        children = psutil.Process(process.pid).children()
        return next((c for c in children if "java" in c.name()), None)
    except psutil.NoSuchProcess:
        return None


def kill_python(process: subprocess.Popen[bytes]) -> psutil.Process | None:
    """The driver is left to see for itself that nobody talks to it any more."""
    jvm = jvm_of(process)
    process.kill()
    process.wait(10)
    return jvm


def kill_driver(process: subprocess.Popen[bytes]) -> psutil.Process | None:
    """The host has to notice, and to end, so that it can be begun again."""
    if (jvm := jvm_of(process)) is not None:
        jvm.kill()
        assert process.wait(ORPHAN_S) == 1, "it goes on without its driver"
    else:
        kill_python(process)
    return None


def kill_both(process: subprocess.Popen[bytes]) -> psutil.Process | None:
    """As when the machine goes."""
    kill_group(process)
    return None


def has_gone(jvm: psutil.Process | None, seconds: float) -> bool:
    try:
        if jvm is not None:
            jvm.wait(seconds)
    except psutil.TimeoutExpired:
        return False
    return True


READ: dict[str, Callable[[Settings], Windows]] = {
    TOPIC: lambda settings: from_topic(settings)[0],
    LAKE: from_lake,
    TABLE: partial(from_postgres, table=CLOSED_TABLE.entity),
    OPEN: from_postgres,
}


def check(place: Place, query: str, sent: list[Tick]) -> None:
    """The sink of a query has what it must have given."""
    wanted = expected(sent, place.history(query))
    assert len(wanted.closed) > 50 and wanted.late, "the test has proved nothing"
    windows = wanted.closed
    if query == OPEN:
        windows = {key: value for key, value in wanted.open_too.items() if key[0] == "10s_5s"}
    found = differences(READ[query](place.settings), windows)
    assert not found, f"{query}: {len(found)} windows, {found[:5]}\n{place.said()}"


def finish(place: Place, flow: Flow) -> None:
    """No more trades but some that are late for every query, however far it was behind before."""
    place.until_read(flow.end(), *ALL)
    late = [Tick(stock, 1e6, BASE + timedelta(seconds=40)) for stock in ("AGL", "AMC", "CBA")]
    flow.sent += send(place.settings, late)
    place.until_read(flow.sent, *ALL)
    for query in ALL:
        check(place, query, flow.sent)


KILLS: tuple[Callable[..., psutil.Process | None], ...] = (kill_python, kill_driver, kill_both)


@pytest.mark.naive("reads_on_from_the_end")
def test_whenever_the_host_is_killed_each_sink_has_every_window_once(
    place: Place, seed: int, rng: random.Random
) -> None:
    flow = Flow(place.settings, rng)
    flow.start()
    # With three seeds each begins with another kill, and one takes two; with more, all.
    first = SEEDS.index(seed)
    order = [KILLS[(first + i) % len(KILLS)] for i in range(2 if len(SEEDS) == 3 else 4)]
    most = str(rng.choice((20, 100, 500_000)))
    orphans: list[psutil.Process | None] = []
    for kill in order:
        process = place.host(*ALL, module=HOST, DE_STACK_SLICE_MAX_ROWS=most)
        if rng.random() < 0.8:
            before = {q: told.get("batch_id") for q, told in place.status().items()}
            place.until(
                lambda b=before, p=process: works(place, flow, b) or p.poll() is not None,
                "batches",
            )
            assert process.poll() is None, place.said()
            time.sleep(rng.uniform(0, 3))
        else:
            time.sleep(rng.uniform(0, 8))
        print(f"{kill.__name__}, {most} rows at most, {len(flow.sent)} sent")
        # Begun again at once, as supervisord does: what is left of the one before may still work.
        orphans.append(kill(process))
    before = {q: told.get("batch_id") for q, told in place.status().items()}
    place.host(*ALL, module=HOST)
    place.until(lambda: works(place, flow, before), "batches")
    time.sleep(2)
    finish(place, flow)
    print(f"{from_topic(place.settings)[1]} messages came more than once")
    assert all(has_gone(jvm, ORPHAN_S) for jvm in orphans), "a driver outlived its host"


def works(place: Place, flow: Flow, before: dict[str, int | None]) -> bool:
    """True when a query of the host has moved on; also when nothing is left that would move it.

    Where hosts take long to start, the flow may be over, and read by those before: all of it, or
    there is something to wait for.
    """
    return moves(place, before) or (not flow.is_alive() and all_is_read(place))


def all_is_read(place: Place) -> bool:
    """True when the last batch of each query ends where the topic ends."""
    state = Kafka(place.settings).topic_state(place.settings.names.topic(*TICKS.topic))
    assert state is not None
    histories = [place.batches(query).history() for query in ALL]
    return all(h and h.batches and h.batches[-1].ends == state.end for h in histories)


def moves(place: Place, before: dict[str, int | None]) -> bool:
    """True when a query has told of a batch after those of the host before."""
    return any(
        told.get("batch_id") not in (None, before.get(q)) for q, told in place.status().items()
    )


def begun_after(place: Place, size: int, query: str) -> bool:
    """True when a host has said, after so many bytes of the log, that it has begun a query."""
    said = place.log.read_bytes()[size:].decode(errors="replace").splitlines()
    return any("query begun" in line and f"query={query} " in line for line in said)


@pytest.mark.parametrize(
    ("query", "moment"),
    [
        pytest.param(TOPIC, "2", marks=pytest.mark.naive("a_new_id_for_each_message")),
        pytest.param(TABLE, "3", marks=pytest.mark.naive("every_batch_is_inserted")),
        pytest.param(LAKE, "2", marks=pytest.mark.naive("every_batch_is_appended")),
        (LAKE, "last"),
    ],
)
def test_a_death_between_the_sinks_commit_and_the_checkpoints_repeats_a_batch_and_no_result(
    place: Place, query: str, moment: str
) -> None:
    """The worst moment, on purpose, for each sink; for the lake also in the last batch with rows.

    Nothing comes after that one that would move the watermark: what it closes must still be given.
    What Kafka has twice, the batch path takes once.
    """
    flow = Flow(place.settings, random.Random(6))
    flow.sent += send(place.settings, flow.some(400))
    flow.end()
    dies = {"DE_STACK_SLICE_MAX_ROWS": "60", "DE_STACK_TEST_DIES": f"{query}:{moment}"}
    assert place.host(query, module=HOST, **dies).wait(LONG_S) == -9, place.said()
    before = place.history(query).batches
    place.host(query, module=HOST)
    place.until_read(flow.sent, query)
    check(place, query, flow.sent)
    assert len(place.history(query).batches) > len(before), "it has gone on, not begun anew"
    if query == TOPIC:
        again = from_topic(place.settings)[1]
        assert again > 0, "a batch was sent, and sent again"
        for name, hour in (("bronze", this_hour()), ("silver", BASE)):
            materialize([f"{name}_averages"], hour, domain="stocks")
        typed = from_lake(place.settings, "silver", "averages")
        closed = expected(flow.sent, place.history(query)).closed
        assert not differences(typed, closed)
        uri = Lake(place.settings).uri("stocks", "bronze", "averages")
        (raw,) = Lake(place.settings).query(uri, "select count(*) as n from t").to_pylist()
        assert raw["n"] == len(typed) + again


def test_two_hosts_at_once_do_no_harm_and_the_one_that_is_left_goes_on(place: Place) -> None:
    """Their lock is out of force, as for a host that slept while its database was restarted."""
    flow = Flow(place.settings, random.Random(7))
    flow.sent += send(place.settings, flow.some(50))
    first = place.host(*ALL, module=HOST, DE_STACK_TEST_UNLOCKED="1")
    place.until_read(flow.sent, *ALL)
    begun = len(place.log.read_bytes())
    second = place.host(*ALL, module=HOST, DE_STACK_TEST_UNLOCKED="1")
    # The trades end some time: on a slow machine before a second host is at work.
    place.until(lambda: all(begun_after(place, begun, q) for q in ALL), "the second begins")
    flow.start()
    # One sees that the other has written what it was about to write; Spark says so of its files.
    detected = "Multiple streaming jobs detected"
    place.until(lambda: detected in place.log.read_text(errors="replace"), "both at work")
    time.sleep(5)
    assert first.poll() is None and second.poll() is None, place.said()
    kill_group(first)
    finish(place, flow)


@pytest.mark.naive("the_last_writer_wins")
def test_a_batch_that_comes_after_a_later_one_changes_nothing(
    settings: Settings, spark: Callable[[], Any]
) -> None:
    """As from a host that slept while another one went on."""
    sink, session = TOTALS.sink, spark()
    columns = ", ".join(f"{name} {kind}" for name, kind, *_ in schema.TOTALS)
    sink.prepare(settings, session)
    for number in (1, 2, 1):
        rows = session.createDataFrame([("AGL", "BUY", float(number), 1.0, number)], columns)
        sink.write(settings, rows, Batch("stocks.live_totals", "a", number, "update"))
    table = f"{settings.names.schema('stocks')}.live_totals"
    assert serving(settings, f"select max_price, count from {table}") == [(2.0, 2)]
