"""Two at once: the same slice, the same event hours, and a row that lands under a refinement."""

from __future__ import annotations

import time
import uuid
from typing import Any

import pytest

from de_stack import partitions
from de_stack.flow import land
from de_stack.flow.ledger import Ledger
from de_stack.flow.refine import refine
from de_stack.settings import Settings
from de_stack_tests.faults.account import STREAM
from de_stack_tests.faults.lab import Lab
from de_stack_tests.faults.worker import Outcome
from de_stack_tests.integration.pipeline import (
    CHAIN,
    materialize,
    measure,
    produce,
    serving,
    session,
)


def no_harm(outcomes: list[Outcome]) -> None:
    """At least one has done the work; one that has lost says that a retry can help."""
    assert any(done.is_good for done in outcomes), outcomes[0].said[-4000:]
    for done in outcomes:
        assert done.is_good or "a retry can help" in done.said, done.said[-4000:]


@pytest.mark.naive("offsets_beside_the_rows")
def test_two_processes_that_land_the_same_slice_land_it_once(calm_lab: Lab) -> None:
    calm_lab.send(800)
    # The table is not there yet: they race for its making, too.
    no_harm(calm_lab.together("land"))
    calm_lab.finish()
    calm_lab.check()


@pytest.mark.naive("delete_then_append")
def test_two_runs_that_derive_the_same_hours_leave_each_event_once(calm_lab: Lab) -> None:
    calm_lab.send(400)
    land.land(calm_lab.settings, STREAM, session(calm_lab.settings), "test")
    no_harm(calm_lab.together("derive"))
    calm_lab.finish()
    calm_lab.check()


def test_rows_that_land_at_a_random_moment_of_a_derivation_are_not_forgotten(lab: Lab) -> None:
    """Its naive twin would need luck: the test below takes the worst moment on purpose."""
    spark = session(lab.settings)
    lab.send(150)
    land.land(lab.settings, STREAM, spark, "before")
    worker = lab.worker("derive")
    time.sleep(lab.pick(0, 5))
    lab.send(150)
    land.land(lab.settings, STREAM, spark, "meanwhile")
    no_harm([worker.end()])
    lab.finish()
    lab.check()


@pytest.mark.naive("used_is_what_is_newest_now")
def test_a_row_that_lands_between_the_choice_of_the_version_and_the_commit_is_pending_again(
    settings: Settings,
) -> None:
    """The worst moment, on purpose: the version is pinned, nothing is written yet."""
    hour = partitions.floor(STREAM.history_start, "hour")
    spark = session(settings)
    produce(settings, [measure("a", 1.0, hour)])
    land.land(settings, STREAM, spark, "first")

    def meanwhile() -> Any:
        produce(settings, [measure("a", 2.0, hour)], [str(uuid.uuid4())])
        assert land.land(settings, STREAM, spark, "second").rows == 1
        return spark()

    done = refine(settings, STREAM, hour, hour, meanwhile, "test")
    assert done.rows == 1
    names = settings.names
    silver, bronze = (names.table_id("telemetry", x, "measures") for x in ("silver", "bronze"))
    assert Ledger(settings).pending(silver, bronze) == [hour]
    materialize(CHAIN, hour)
    sql = f"select count, mean from {names.schema('telemetry')}.stats_measures"
    assert serving(settings, sql) == [(2, 1.5)]
    assert Ledger(settings).pending(silver, bronze) == []
