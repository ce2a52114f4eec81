"""What a Spark job does whose client was killed on purpose: it commits, and nobody is told."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from de_stack.flow.bronze import bronze
from de_stack_tests.faults.account import STREAM
from de_stack_tests.faults.lab import Lab


@pytest.mark.naive("offsets_beside_the_rows")
def test_a_write_whose_client_was_killed_commits_and_the_next_run_goes_on_behind_it(
    calm_lab: Lab,
) -> None:
    lab = calm_lab
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
