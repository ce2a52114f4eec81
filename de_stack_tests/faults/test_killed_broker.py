"""SIGKILL to the broker while it is read from."""

from __future__ import annotations

import time

import pytest

from de_stack_tests.faults.lab import Lab


@pytest.mark.naive("offsets_beside_the_rows")
def test_a_broker_killed_in_landing_loses_and_repeats_nothing(lab: Lab) -> None:
    lab.send(150)
    first = lab.run("land")
    assert first.is_good, first.said
    lab.send(150)
    worker = lab.worker("land")
    time.sleep(lab.pick(0, first.seconds))
    lab.kill("kafka")
    lab.ready("kafka")
    done = worker.end()
    assert done.is_good or "a retry can help" in done.said, done.said[-6000:]
    lab.send(150)
    lab.settle()
    lab.check()
