"""SIGKILL to a run worker at any moment, and what its orphaned Spark job does afterwards."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from de_stack.flow.bronze import bronze
from de_stack_tests.faults.account import STREAM
from de_stack_tests.faults.lab import Lab


@pytest.mark.naive("offsets_beside_the_rows")
def test_runs_killed_at_random_moments_lose_and_repeat_nothing(lab: Lab) -> None:
    lab.send(150)
    first = lab.run("tick")
    assert first.is_good, first.said
    for _ in range(3):
        lab.send(150)
        worker = lab.worker("tick")
        time.sleep(lab.pick(0, first.seconds))
        worker.kill()
        worker.end()
    lab.settle()
    lab.check()


@pytest.mark.naive("offsets_beside_the_rows")
def test_a_write_whose_client_was_killed_commits_and_the_next_run_goes_on_behind_it(
    lab: Lab,
) -> None:
    lab.send(150)
    assert lab.run("land").is_good
    place = Path(bronze(lab.settings, STREAM).uri)
    lab.send(2000)
    before = set(place.rglob("*.parquet"))
    worker = lab.worker("land")
    # Its files are there, its commit is not: from here on Spark needs nobody.
    deadline = time.monotonic() + 60
    while set(place.rglob("*.parquet")) == before:
        assert time.monotonic() < deadline, "the slice was never written"
        time.sleep(0.002)
    worker.kill()
    assert worker.end().code == -9
    lab.send(150)
    lab.settle()
    lab.check()
