"""What holds a step back. Belongs here: runs in a Dagster of its own, decisions in memory."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.orchestration import blocks
from de_stack.orchestration.blocks import STEP_TAG, STEPS, STREAM_TAG, acknowledge, held_back
from de_stack.settings import Settings

STREAM = "lab.things"
TAGS = {STREAM_TAG: STREAM, STEP_TAG: "land"}


class FakeDecisions:
    """Decisions in a list."""

    entered: list[dict[str, Any]]

    def __init__(self, settings: Settings, subject: str) -> None:  # noqa: ARG002
        assert subject == STREAM

    def enter(self, kind: str, details: list[dict[str, Any]], reason: str, by: str) -> None:
        assert (kind, reason, by) == ("acknowledge", "mended", "somebody")
        self.entered.extend(details)

    def is_acknowledged(self, step: str, run_id: str) -> bool:
        return {"step": step, "run_id": run_id} in self.entered


@pytest.fixture
def instance(monkeypatch: pytest.MonkeyPatch) -> Iterator[dg.DagsterInstance]:
    FakeDecisions.entered = []
    monkeypatch.setattr(blocks, "Decisions", FakeDecisions)
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path)


def run(instance: dg.DagsterInstance, error: Exception | None, **tags: str) -> str:
    @dg.op
    def work() -> None:
        if error:
            raise error

    @dg.job
    def job() -> None:
        work()

    result = job.execute_in_process(instance=instance, tags=TAGS | tags, raise_on_error=False)
    return result.run_id


LOST = PermanentFailure("plan x", "offsets 3..7 are gone", "accept them")
AWAY = TransientFailure("reach x", "nobody there")


def test_a_permanent_failure_blocks_until_a_person_acknowledges_it(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    assert held_back(instance, settings, STREAM, "land", 1) is None
    failed = run(instance, LOST)
    said = held_back(instance, settings, STREAM, "land", 1)
    assert said is not None
    assert said.startswith(f"blocked: run {failed} failed, and a retry cannot help")
    assert "plan x: offsets 3..7 are gone" in said
    assert "de-stack acknowledge lab.things --step land" in said
    assert held_back(instance, settings, STREAM, "derive", 1) is None

    ((step, run_id, failure),) = acknowledge(instance, settings, STREAM, None, "mended", "somebody")
    assert (step, run_id) == ("land", failed)
    assert "offsets 3..7" in failure
    assert held_back(instance, settings, STREAM, "land", 1) is None
    assert acknowledge(instance, settings, STREAM, None, "mended", "somebody") == []
    # It is this failure that was acknowledged, not the next one.
    assert run(instance, LOST) in str(held_back(instance, settings, STREAM, "land", 1))


def test_a_later_success_of_the_step_ends_the_block(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    run(instance, LOST)
    run(instance, None, **{STEP_TAG: "derive"})
    assert held_back(instance, settings, STREAM, "land", 1)
    run(instance, None)
    assert held_back(instance, settings, STREAM, "land", 1) is None


@pytest.mark.parametrize("error", [AWAY, ValueError("a bug")])
def test_other_failures_wait_longer_each_time_and_ten_minutes_at_most(
    instance: dg.DagsterInstance,
    settings: Settings,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now, ago = time.time(), 0.0
    monkeypatch.setattr(blocks.time, "time", lambda: now + ago)
    run(instance, error)
    assert held_back(instance, settings, STREAM, "land", 20) is None
    for failures, wait in ((2, 80), (3, 160), (4, 320), (5, 600), (6, 600)):
        run(instance, error)
        now, ago = time.time(), wait - 10
        assert f"{failures} runs in a row" in str(held_back(instance, settings, STREAM, "land", 20))
        ago = wait + 1
        assert held_back(instance, settings, STREAM, "land", 20) is None
    run(instance, None)
    ago = 0
    assert held_back(instance, settings, STREAM, "land", 20) is None


def test_failures_before_an_acknowledged_one_do_not_count(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    run(instance, AWAY)
    run(instance, LOST)
    acknowledge(instance, settings, STREAM, "land", "mended", "somebody")
    run(instance, AWAY)
    assert held_back(instance, settings, STREAM, "land", 60) is None
    run(instance, AWAY)
    assert "2 runs in a row" in str(held_back(instance, settings, STREAM, "land", 60))


def test_killed_runs_back_off_from_the_second_on(
    instance: dg.DagsterInstance, settings: Settings
) -> None:
    @dg.job
    def job() -> None: ...

    for _ in range(2):
        assert held_back(instance, settings, STREAM, "land", 60) is None
        made = instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=TAGS)
        instance.report_run_failed(made, "The run's process is gone")
    assert "process is gone" in str(held_back(instance, settings, STREAM, "land", 60))


def test_an_unknown_step_is_refused(instance: dg.DagsterInstance, settings: Settings) -> None:
    with pytest.raises(PermanentFailure, match="land, derive, dead, mart"):
        acknowledge(instance, settings, STREAM, "lnad", "mended", "somebody")


def test_every_step_that_a_sensor_asks_for_can_be_acknowledged() -> None:
    from de_stack.definitions import defs

    names = [sensor.name.split("__") for sensor in defs().sensors or []]
    assert {name[2] for name in names if len(name) == 3} == set(STEPS)
