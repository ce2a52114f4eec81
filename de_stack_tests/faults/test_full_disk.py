"""The lake's disk is full, at each point of a write in turn, until there is room for all of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from de_stack import partitions
from de_stack.failures import TransientFailure
from de_stack.flow import commits, counts, land
from de_stack.flow.bronze import bronze
from de_stack.flow.ledger import Ledger
from de_stack.flow.refine import refine, silver
from de_stack.flow.tables import Table
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.faults.clocks import STREAM
from de_stack_tests.faults.small_disk import SmallDisk, Unit, mounted
from de_stack_tests.integration.pipeline import CHAIN, materialize, measure, produce, session

HOUR = partitions.floor(datetime.now(UTC), "hour")


@pytest.fixture
def disk(settings: Settings) -> Iterator[SmallDisk]:
    with mounted(Path(settings.need("lake_uri")) / settings.namespace) as disk:
        yield disk


def fill(settings: Settings, rows: int) -> None:
    produce(settings, [measure("a", float(i), HOUR + timedelta(seconds=1)) for i in range(rows)])


def until_it_fits(
    settings: Settings,
    disk: SmallDisk,
    unit: Unit,
    table: Table,
    attempt: Callable[[], object],
) -> list[TransientFailure]:
    """Try with room for 0, 1, 2, ... until it works; each failure is harmless, and is returned."""
    lake, ledger, failures = Lake(settings), Ledger(settings), []
    before = lake.row_count(table.uri), lake.version(table.uri)
    for room in range(30):
        disk.leave(unit, room)
        try:
            attempt()
        except TransientFailure as failure:
            failures.append(failure)
        else:
            disk.leave_plenty()
            return failures
        assert (lake.row_count(table.uri), lake.version(table.uri)) == before, failures[-1]
        assert commits.reconcile(lake, ledger, table) == before[1]
        assert lake.query(table.uri, "select count(*) as n from t")["n"].to_pylist() == [before[0]]
    raise AssertionError(f"it never fits: {failures[-1]}")


@pytest.mark.naive("sparks_error_is_passed_on")
@pytest.mark.parametrize("unit", ["files", "pages"])
def test_a_landing_on_a_full_disk_says_so_shows_nothing_half_and_is_repeated_when_there_is_room(
    settings: Settings, disk: SmallDisk, unit: Unit
) -> None:
    spark = session(settings)
    fill(settings, 20)
    land.land(settings, STREAM, spark, "before")
    fill(settings, 20)

    def attempt() -> None:
        assert land.land(settings, STREAM, spark, "full").rows == 20

    failures = until_it_fits(settings, disk, unit, bronze(settings, STREAM), attempt)
    assert len(failures) >= 4, failures
    for failure in failures:
        assert failure.got.startswith("the disk is full: ")
        assert "\n" not in failure.got
        assert failure.fix == f"free space on the file system of {settings.need('lake_uri')}"
    if unit == "files":
        # Each of them was cut once: the rows' file, and the one that makes them visible.
        said = " ".join(failure.got for failure in failures)
        assert ".parquet" in said
        assert "_delta_log" in said
    materialize(CHAIN, HOUR)
    found = counts.count(settings, STREAM)
    assert (found.bronze, found.silver, found.published) == (40, 40, 40)
    assert found.settled, found
    assert found.agree, found


@pytest.mark.naive("sparks_error_is_passed_on")
def test_hours_that_are_refined_on_a_full_disk_keep_the_rows_that_they_had(
    settings: Settings, disk: SmallDisk
) -> None:
    spark = session(settings)
    fill(settings, 20)
    land.land(settings, STREAM, spark, "before")
    refine(settings, STREAM, HOUR, HOUR, spark, "before")
    fill(settings, 20)
    land.land(settings, STREAM, spark, "more")
    target = silver(settings, STREAM)

    def attempt() -> None:
        assert refine(settings, STREAM, HOUR, HOUR, spark, "full").rows == 40

    failures = until_it_fits(settings, disk, "files", target, attempt)
    assert len(failures) >= 4, failures
    assert all("free space" in (failure.fix or "") for failure in failures)
    assert Ledger(settings).pending(target.table_id, bronze(settings, STREAM).table_id) == []
