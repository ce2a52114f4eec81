"""What the sensors ask for, on a real broker and a real ledger."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest
from dagster import EventLogEntry

from de_stack import partitions
from de_stack.contracts import load_stream
from de_stack.defs import killed_runs
from de_stack.defs.telemetry import watch
from de_stack.failures import TransientFailure
from de_stack.flow import counts
from de_stack.orchestration import orphans, spans, waiting
from de_stack.orchestration.blocks import STEP_TAG, STREAM_TAG
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import (
    CHAIN,
    an_hour_that_lasts,
    materialize,
    measure,
    produce,
)


def one_tick(
    sensor: dg.SensorDefinition, settings: Settings, instance: dg.DagsterInstance
) -> dg.RunRequest | str:
    """The one run that a tick asks for, or why it asks for none."""
    context = dg.build_sensor_context(instance=instance, resources={"settings": settings})
    result = sensor(context)
    if isinstance(result, dg.SkipReason):
        return result.skip_message or ""
    assert isinstance(result, dg.SensorResult)
    (request,) = result.run_requests or []
    return request


def tick(
    sensor: dg.SensorDefinition, settings: Settings, instance: dg.DagsterInstance
) -> dg.RunRequest | str:
    """The same; one that met no broker within its two seconds is followed by another.

    So does the daemon.
    """
    until = time.monotonic() + 30
    while True:
        try:
            return one_tick(sensor, settings, instance)
        except TransientFailure as failure:
            if "read offsets of topic" not in str(failure) or time.monotonic() > until:
                raise


# Two minutes of them may be the wait for an hour that lasts.
@pytest.mark.timeout(420)
def test_sensors_ask_once_for_what_waits_and_never_for_nothing(settings) -> None:
    hour = an_hour_that_lasts()
    with dg.DagsterInstance.ephemeral() as instance:
        assert tick(watch.land_measures, settings, instance) == "nothing new in Kafka"
        assert tick(watch.derive_measures, settings, instance) == "no event period is pending"
        assert tick(watch.mart_daily_metrics, settings, instance) == "the source has not changed"

        # Three hours in a row, one by itself, one a week and more before.
        early = hour - timedelta(days=8)
        for moment in (early, *(hour - timedelta(hours=back) for back in (9, 4, 3, 2))):
            produce(settings, [measure("a", 1.0, moment)])
        asked = tick(watch.land_measures, settings, instance)
        assert isinstance(asked, dg.RunRequest)
        assert asked.partition_key == partitions.key(hour, "hour")
        materialize(["bronze_measures"], hour)
        assert tick(watch.land_measures, settings, instance) == "nothing new in Kafka"

        assert span(tick(watch.derive_measures, settings, instance)) == (early, early)
        materialize(CHAIN, early)
        # The hours between nine and four hold nothing: they cost less than a run of their own.
        asked = tick(watch.derive_measures, settings, instance)
        nine, two = (hour - timedelta(hours=back) for back in (9, 2))
        assert span(asked) == (nine, two)
        assert isinstance(asked, dg.RunRequest)
        assert [k.path[1] for k in asked.asset_selection or []] == list(CHAIN)
        materialize(CHAIN[:2], nine, two)
        # A new row of this hour does not keep back the older hours that only Postgres lacks.
        produce(settings, [measure("a", 1.0, hour)])
        materialize(["bronze_measures"], hour)
        assert span(tick(watch.derive_measures, settings, instance)) == (nine, hour)
        assert isinstance(tick(watch.mart_daily_metrics, settings, instance), dg.RunRequest)


def span(asked: dg.RunRequest | str) -> tuple[datetime, datetime]:
    """First and last period of what is asked for."""
    assert isinstance(asked, dg.RunRequest), asked
    found = spans.periods_of(asked.tags, "hour")
    assert found
    return found


def test_a_range_does_not_reach_over_hours_that_are_full(settings, monkeypatch) -> None:
    monkeypatch.setattr(waiting, "_FEW_ROWS", 2)
    hour = partitions.floor(datetime.now(UTC), "hour")
    full, between, last = (hour - timedelta(hours=back) for back in (4, 6, 2))
    produce(settings, [measure(f"m-{n}", 1.0, full) for n in range(3)])
    produce(settings, [measure("m", 1.0, between)])
    materialize(["bronze_measures"], hour)
    with dg.DagsterInstance.ephemeral() as instance:
        assert span(tick(watch.derive_measures, settings, instance)) == (between, full)
        materialize(CHAIN, between, full)
        produce(settings, [measure("n", 1.0, between - timedelta(hours=1))])
        produce(settings, [measure("n", 1.0, hour - timedelta(hours=5))])
        produce(settings, [measure("n", 1.0, last)])
        materialize(["bronze_measures"], hour)
        # Over the hour of one row, not over that of three.
        first = between - timedelta(hours=1), hour - timedelta(hours=5)
        assert span(tick(watch.derive_measures, settings, instance)) == first
        materialize(CHAIN, *first)
        assert span(tick(watch.derive_measures, settings, instance)) == (last, last)
        materialize(CHAIN, last)
        assert counts.count(settings, load_stream("telemetry.measures")).agree


def test_a_run_in_flight_keeps_the_next_one_back(settings) -> None:
    produce(settings, [measure("a", 1.0, datetime.now(UTC))])
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(tick(watch.land_measures, settings, instance), dg.RunRequest)
        instance.create_run_for_job(
            _job,
            status=dg.DagsterRunStatus.STARTED,
            tags={STREAM_TAG: settings.names.topic("telemetry", "measures"), STEP_TAG: "land"},
        )
        assert "is at it" in str(tick(watch.land_measures, settings, instance))


def test_a_tick_without_a_broker_fails_in_seconds_and_says_so(settings, monkeypatch) -> None:
    monkeypatch.setenv("DE_STACK_PROFILE", "external")
    for name in ("ledger_dsn", "serving_dsn", "lake_uri", "spark_remote"):
        monkeypatch.setenv(f"DE_STACK_{name.upper()}", settings.need(name))
    monkeypatch.setenv("DE_STACK_KAFKA_BOOTSTRAP", "127.0.0.1:1")
    with dg.DagsterInstance.ephemeral() as instance:
        # Making the instance takes seconds of its own on a busy machine.
        began = time.monotonic()
        with pytest.raises((TransientFailure, dg.DagsterError), match=r"127\.0\.0\.1:1"):
            one_tick(watch.land_measures, Settings(), instance)
        assert time.monotonic() - began < 5


WAIT = "import time; time.sleep(60)"
WORKER = f"from multiprocessing.spawn import spawn_main; {WAIT}"


@pytest.fixture
def killed(settings) -> Iterator[tuple[dg.DagsterInstance, Callable[..., str]]]:  # noqa: ANN001
    """An instance, and what makes a started run in it whose process is there, or was killed.

    `ago`: the run's id was that of another process then, which is gone.
    """
    children = []
    with dg.instance_for_test() as instance:

        def started(
            tags: dict[str, str],
            *,
            alive: bool = False,
            words: Sequence[str] = (sys.executable, "-c", WORKER),
            env: dict[str, str | None] | None = None,
            ago: float = 0.0,
        ) -> str:
            # An older event must be so by all of `ago`, however long a process takes to begin.
            before = time.time()
            changed = {**os.environ, **(env or {})}
            child = subprocess.Popen(words, env={n: v for n, v in changed.items() if v is not None})
            children.append(child)
            status = dg.DagsterRunStatus.STARTED
            run = instance.create_run_for_job(_job, status=status, tags=tags)
            instance.handle_new_event(
                _started(run.run_id, child.pid, before - ago if ago else time.time())
            )
            if not alive:
                child.kill()
                child.wait()
            return run.run_id

        yield instance, started
        for child in children:
            child.kill()
            child.wait()


def status_of(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    found = instance.get_run_by_id(run_id)
    assert found is not None
    return found.status


def test_a_run_whose_process_was_killed_is_failed_and_does_not_block_its_stream(
    settings, killed
) -> None:
    instance, started = killed
    produce(settings, [measure("a", 1.0, datetime.now(UTC))])
    tags = {STREAM_TAG: settings.names.topic("telemetry", "measures"), STEP_TAG: "land"}
    dead = started(tags)
    assert isinstance(tick(watch.land_measures, settings, instance), dg.RunRequest)
    assert status_of(instance, dead) == dg.DagsterRunStatus.FAILURE
    alive = started(tags, alive=True)
    assert "is at it" in str(tick(watch.land_measures, settings, instance))
    assert status_of(instance, alive) == dg.DagsterRunStatus.STARTED


def test_a_killed_run_that_a_person_asked_for_is_failed_and_its_pool_is_free(
    settings, killed
) -> None:
    instance, started = killed
    dead, alive = started({}), started({}, alive=True)
    assert tick(killed_runs.sweep_killed_runs, settings, instance) == "1 runs were killed"
    assert status_of(instance, dead) == dg.DagsterRunStatus.FAILURE
    assert status_of(instance, alive) == dg.DagsterRunStatus.STARTED


def test_runs_of_a_shared_dagster_may_be_on_other_machines_and_are_left_alone(
    settings, killed
) -> None:
    instance, started = killed
    produce(settings, [measure("a", 1.0, datetime.now(UTC))])
    # As `de-stack rebuild` in a container tags it: its process id means nothing here.
    elsewhere = started(
        {STREAM_TAG: settings.names.topic("telemetry", "measures"), STEP_TAG: "land"}
    )
    shared = settings.model_copy(update={"profile": "external"})
    assert "external" in str(tick(killed_runs.sweep_killed_runs, shared, instance))
    assert "is at it" in str(tick(watch.land_measures, shared, instance))
    assert status_of(instance, elsewhere) == dg.DagsterRunStatus.STARTED


def set_clock(monkeypatch: pytest.MonkeyPatch, by: float) -> None:
    """What psutil says when the clock was set: it counts from the boot, which moves with it."""
    real = psutil.Process.create_time
    monkeypatch.setattr(psutil.Process, "create_time", lambda self: real(self) + by)


@pytest.mark.parametrize("hours", [1, -1])
def test_a_clock_that_is_set_fails_no_live_run(
    settings, killed, monkeypatch, tmp_path, hours
) -> None:
    instance, started = killed
    alive = [
        started({}, alive=True),
        started({}, alive=True, env={"DE_STACK_SERVICE": f"{settings.home}:code_server"}),
        # What a person has typed, and a program of theirs.
        started(
            {},
            alive=True,
            words=[sys.executable, "-c", WAIT, "dagster", "asset", "materialize"],
        ),
        started({}, alive=True, words=[sys.executable, "-c", WAIT]),
        started(
            {},
            alive=True,
            words=[sys.executable, _script(tmp_path, "de-stack"), "rebuild"],
            env={"DAGSTER_HOME": None},
        ),
        _asked(instance, {}),
    ]
    dead = started({})
    set_clock(monkeypatch, hours * 3600)
    assert orphans.sweep(instance, settings) == [dead]
    assert {status_of(instance, run_id) for run_id in alive} == {
        dg.DagsterRunStatus.STARTED,
        dg.DagsterRunStatus.STARTING,
    }


def test_another_process_with_the_id_of_a_killed_run_does_not_keep_it_alive(
    settings, killed
) -> None:
    instance, started = killed
    service = {"DE_STACK_SERVICE": f"{settings.home}:daemon"}
    others = [
        started({}, alive=True, ago=5, words=["sleep", "60"]),
        # A service of the stack, after the machine was started anew.
        started({}, alive=True, ago=5, words=[sys.executable, "-c", WAIT], env=service),
        # A program that has nothing to do with this Dagster, and a worker of another one.
        started(
            {},
            alive=True,
            ago=5,
            words=[sys.executable, "-c", WAIT],
            env={"DAGSTER_HOME": None},
        ),
        started({}, alive=True, ago=5, env={"DAGSTER_HOME": "/elsewhere"}),
    ]
    assert sorted(orphans.sweep(instance, settings)) == sorted(others)


def test_a_run_that_had_not_begun_when_its_code_server_was_killed_is_failed_at_once(
    settings, killed, monkeypatch
) -> None:
    instance, started = killed
    produce(settings, [measure("a", 1.0, datetime.now(UTC))])
    run = _asked(
        instance, {STREAM_TAG: settings.names.topic("telemetry", "measures"), STEP_TAG: "land"}
    )

    def said() -> dg.RunRequest | str:
        return tick(watch.land_measures, settings, instance)

    # This server was asked for it, and will say what became of it.
    assert "is at it" in str(said())
    # What it looks like when the server that was asked is gone, and its child goes on.
    with subprocess.Popen([sys.executable, "-c", WORKER]) as worker:
        time.sleep(0.2)
        since = time.time()
        monkeypatch.setattr(orphans, "_server_since", lambda: since)
        assert "is at it" in str(said())
        set_clock(monkeypatch, -3600)
        assert "is at it" in str(said())
        worker.kill()
    # A worker that has said which run it is for is not waited for.
    started({}, alive=True)
    assert isinstance(said(), dg.RunRequest)
    assert status_of(instance, run) == dg.DagsterRunStatus.FAILURE


def test_a_run_that_a_killed_daemon_called_starting_and_asked_nobody_for_is_failed_in_seconds(
    settings, killed, monkeypatch
) -> None:
    instance, started = killed
    since = time.time() - 60
    monkeypatch.setattr(orphans, "_server_since", lambda: since)
    produce(settings, [measure("a", 1.0, datetime.now(UTC))])
    tags = {STREAM_TAG: settings.names.topic("telemetry", "measures"), STEP_TAG: "land"}
    with subprocess.Popen([sys.executable, "-c", WORKER]) as worker:
        time.sleep(0.2)
        run = _asked(instance, tags, ago=30)
        # Slow to import, perhaps: this server has started it.
        assert "is at it" in str(tick(watch.land_measures, settings, instance))
        worker.kill()
    # One that works for another run does not keep it.
    started({}, alive=True)
    assert isinstance(tick(watch.land_measures, settings, instance), dg.RunRequest)
    assert status_of(instance, run) == dg.DagsterRunStatus.FAILURE


def test_a_run_that_ends_well_while_it_is_looked_at_stays_a_success(
    settings, killed, monkeypatch
) -> None:
    instance, started = killed
    run_id = started({})

    def ends(*_: object) -> bool:
        instance.report_dagster_event(
            dg.DagsterEvent(dg.DagsterEventType.RUN_SUCCESS.value, "_job"), run_id
        )
        return False

    monkeypatch.setattr(orphans, "_lives", ends)
    assert orphans.sweep(instance, settings) == []
    assert status_of(instance, run_id) == dg.DagsterRunStatus.SUCCESS


def _asked(instance: dg.DagsterInstance, tags: dict[str, str], ago: float = 0.0) -> str:
    """A run that a code server was asked for, and that has not begun."""
    run = instance.create_run_for_job(_job, status=dg.DagsterRunStatus.NOT_STARTED, tags=tags)
    event = dg.DagsterEvent(dg.DagsterEventType.RUN_STARTING.value, "_job")
    instance.handle_new_event(_entry(run.run_id, event, time.time() - ago))
    return run.run_id


def _script(folder: Path, name: str) -> str:
    (folder / name).write_text(WAIT)
    return str(folder / name)


def _started(run_id: str, pid: int, at: float) -> EventLogEntry:
    return _entry(run_id, dg.DagsterEvent(dg.DagsterEventType.RUN_START.value, "_job", pid=pid), at)


def _entry(run_id: str, event: dg.DagsterEvent, at: float) -> EventLogEntry:
    return EventLogEntry(
        error_info=None,
        level=20,
        user_message="",
        run_id=run_id,
        timestamp=at,
        job_name="_job",
        dagster_event=event,
    )


@dg.job
def _job() -> None: ...
