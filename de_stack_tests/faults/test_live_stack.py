"""The whole stack with its sensors, left alone: services die and come back, and nobody types.

Tests share one stack and one account, and build on each other.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import dagster as dg
import httpx
import psutil
import pytest
from dagster._core.scheduler.instigation import TickStatus
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES

from de_stack.failures import TransientFailure
from de_stack.flow import counts
from de_stack.local import dagster_home, status, supervisor
from de_stack.local import stack as local
from de_stack.resources.kafka import ensure_topics
from de_stack.settings import Settings
from de_stack_tests.faults.account import STREAM, Account
from de_stack_tests.faults.lab import kill, namespace_hidden, pid_of
from de_stack_tests.kills import kill_pids
from de_stack_tests.seeds import share

# Each wait has an end of its own; some tests wait for several things.
pytestmark = [pytest.mark.alone, pytest.mark.timeout(900)]

OTHERS = ["collector", "daemon", "code_server"]
SENSOR = "telemetry__measures__land"


@pytest.fixture(scope="module")
def live(stack: Settings) -> Iterator[Settings]:
    """Collector, daemon and code server in a namespace of their own, asking every two seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DE_STACK_NAMESPACE", f"live{os.urandom(3).hex()}")
        patch.setenv("DE_STACK_SENSOR_INTERVAL_SECONDS", "2")
        local.up(["postgres", "kafka", "spark", *OTHERS])
        settings = Settings()
        ensure_topics(settings)
        yield settings
        local.stop(OTHERS)
        patch.setenv("DE_STACK_NAMESPACE", "")
        patch.setenv("DE_STACK_SENSOR_INTERVAL_SECONDS", "")
        local.up(["postgres", "kafka", "spark"])


@pytest.fixture(scope="module")
def account(live: Settings) -> Account:
    return Account(live, random.Random(0))


@contextmanager
def dagster_of(live: Settings) -> Iterator[dg.DagsterInstance]:
    """The stack's own Dagster."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in dagster_home.environment(local.site_of(live.home)).items():
            patch.setenv(name, value)
        with dg.DagsterInstance.from_config(str(live.home / "dagster")) as instance:
            yield instance


@pytest.fixture
def instance(live: Settings) -> Iterator[dg.DagsterInstance]:
    with dagster_of(live) as instance:
        yield instance


def until(
    what: Callable[[], bool], seconds: float, why: str, more: Callable[[], str] = str
) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if what():
                return
        except TransientFailure as failure:
            why = f"{why}: {failure}"[:2000]
        assert time.monotonic() < deadline, why + more()
        time.sleep(0.5)


def settled(account: Account) -> None:
    """Wait for the sensors to have done everything, and hold the account against it."""
    live = account.settings
    why = "rows are still under way"
    until(lambda: counts.count(live, STREAM).settled, 150, why, lambda: story(live))
    account.check()


def story(live: Settings) -> str:
    """Why rows may still be under way: services, runs that have not ended, the newest ticks."""
    said = ["", str(counts.count(live, STREAM))]
    said += [f"service {row.name}: {row.state}, pid {row.pid}" for row in status.rows(live.home)]
    with dagster_of(live) as instance:
        open_runs = dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES))
        said += [
            f"run {one.dagster_run.run_id}: {one.dagster_run.status.value} since "
            f"{one.update_timestamp}, {one.dagster_run.tags}"
            for one in instance.get_run_records(open_runs)
        ]
        for state in instance.all_instigator_state():
            place = (state.instigator_origin_id, state.selector_id)
            for tick in instance.get_ticks(*place, limit=3):
                what = tick.skip_reason or tick.error or tick.run_ids
                at = datetime.fromtimestamp(tick.timestamp, UTC)
                said.append(f"{state.instigator_name} {at}: {tick.status.value}, {what}")
    return "\n".join(said)


def workers() -> list[psutil.Process]:
    """Run workers of any stack of this test session's user; other stacks have other folders."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        try:
            if "spawn_main" in " ".join(process.info["cmdline"] or ()) and _is_ours(process):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _is_ours(process: psutil.Process) -> bool:
    home = os.environ["DE_STACK_HOME"]
    return process.environ().get(supervisor.MARKER, "") == f"{home}:code_server"


def kill_while_it_works(live: Settings, account: Account, rng: random.Random, victim: str) -> None:
    account.post(50)
    until(lambda: bool(workers()), 150, "no run was started")
    time.sleep(rng.uniform(0, 6))
    if victim != "worker":
        kill(live, victim)
    elif running := workers():
        kill_pids([rng.choice(running).pid])


def kill_the_broker_while_events_come(live: Settings, account: Account, rng: random.Random) -> None:
    """A client that goes on all the time: what is not accepted it sends again."""
    at = time.monotonic() + rng.uniform(0.2, 2)
    until_back = at + 8
    is_dead = False
    while (now := time.monotonic()) < until_back:
        if now > at and not is_dead:
            kill(live, "kafka")
            is_dead = True
        account.post(10)
        time.sleep(0.05)


def test_killed_code_server_run_worker_daemon_and_broker_come_back_and_nothing_is_lost(
    live: Settings, account: Account, rng: random.Random, seed: int
) -> None:
    for victim in share(["code_server", "daemon", "worker", "kafka"], seed, rng):
        print(f"killing {victim}")
        if victim == "kafka":
            kill_the_broker_while_events_come(live, account, rng)
        else:
            kill_while_it_works(live, account, rng, victim)
    account.post(20)
    settled(account)


def one_that_starts(account: Account, instance: dg.DagsterInstance) -> str:
    """A run that is asked for, has a process, and has not begun; a quick one is let go by."""
    asked = dg.RunsFilter(statuses=[dg.DagsterRunStatus.STARTING])
    for _ in range(5):
        account.post(50)
        until(lambda: bool(workers() and instance.get_run_ids(asked)), 60, "no run was asked for")
        known = set(instance.get_run_ids(asked))
        # Past the daemon's call, which would fail with the server: the worker imports for seconds.
        time.sleep(1)
        if found := known & set(instance.get_run_ids(asked)):
            return found.pop()
    pytest.fail("each run had begun within a second")


def test_a_run_that_dies_with_its_code_server_before_it_began_costs_seconds(
    live: Settings, account: Account, instance: dg.DagsterInstance
) -> None:
    run_id = one_that_starts(account, instance)
    server = psutil.Process(pid_of(live, "code_server"))
    # The server before its children, which it would tell Dagster of.
    kill_pids(process.pid for process in (server, *server.children(recursive=True)))
    failed = dg.RunsFilter(run_ids=[run_id], statuses=[dg.DagsterRunStatus.FAILURE])
    why = "the run has not failed"
    # Dagster itself gives a run up that has not started within three minutes.
    until(lambda: instance.get_run_ids(failed) == [run_id], 90, why, lambda: story(live))
    settled(account)


def test_while_the_broker_is_away_for_a_minute_ticks_say_so_in_seconds_and_the_daemon_lives(
    live: Settings, account: Account, instance: dg.DagsterInstance
) -> None:
    # A landing that is under way would keep ticks from asking the broker.
    settled(account)
    daemon, began = pid_of(live, "daemon"), datetime.now(UTC).timestamp()
    supervisor.stop(live.home, "kafka")
    until_back = time.monotonic() + 60
    url = f"{live.need('collector_url')}/v1/streams/{STREAM.name}"
    row = {"source_id": "a", "metric": "m", "value": 1, "measured_at": "2026-11-01T00:00:00Z"}
    answer = httpx.post(url, json=row, timeout=15)
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    time.sleep(max(0.0, until_back - time.monotonic()))
    with namespace_hidden():
        local.up(["kafka"])
    failed = [
        tick
        for state in instance.all_instigator_state()
        if state.instigator_name == SENSOR
        for tick in instance.get_ticks(
            state.instigator_origin_id, state.selector_id, after=began, statuses=None
        )
        if tick.status == TickStatus.FAILURE
    ]
    assert len(failed) >= 5, f"{len(failed)} ticks failed in a minute"
    for tick in failed:
        assert "reach" in str(tick.error) or "offsets of topic" in str(tick.error), tick.error
        assert tick.end_timestamp - tick.timestamp < 5
    assert pid_of(live, "daemon") == daemon
    account.post(50)
    settled(account)
