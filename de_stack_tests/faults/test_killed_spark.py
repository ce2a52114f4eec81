"""SIGKILL to the Spark server at a random moment of landing and of deriving."""

from __future__ import annotations

import time

import pytest

from de_stack_tests.faults.lab import Lab


@pytest.mark.naive("offsets_beside_the_rows")
def test_a_spark_server_killed_in_landing_and_in_deriving_loses_and_repeats_nothing(
    lab: Lab,
) -> None:
    lab.send(150)
    took = {step: lab.run(step).seconds for step in ("land", "derive")}
    for step, seconds in took.items():
        lab.send(150)
        if step == "derive":
            assert lab.run("land").is_good
        worker = lab.worker(step)
        time.sleep(lab.pick(0, seconds))
        lab.kill("spark")
        done = worker.end()
        # It had done its work before, or says that a retry can help.
        assert done.is_good or "a retry can help" in done.said, done.said[-6000:]
        assert done.seconds < seconds + 45, "a run must not hang on a server that is gone"
        lab.ready("spark")
    lab.settle()
    lab.check()
