"""Partition keys and ranges. Belongs here: our arithmetic, held against Dagster's definitions."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_stack import partitions
from de_stack_tests.streams import HISTORY_START, stream

GRAINS = ["hour", "day", "month"]
# Includes both changes of summer time in Sydney and in Berlin.
NOW = datetime(2027, 1, 15, 13, 37, tzinfo=UTC)
MOMENTS = st.datetimes(
    min_value=HISTORY_START.replace(tzinfo=None),
    max_value=NOW.replace(tzinfo=None),
    timezones=st.sampled_from(
        [UTC, timezone(timedelta(hours=11)), timezone(-timedelta(hours=9, minutes=30))]
    ),
)


@pytest.fixture(scope="module", params=GRAINS)
def both(request: pytest.FixtureRequest) -> tuple[str, Any]:
    """(grain, Dagster's definition)."""
    return request.param, partitions.ingest_partitions(stream(grain=request.param))


@pytest.mark.parametrize(
    ("grain", "moment", "key"),
    [
        ("hour", datetime(2026, 5, 1, 10, 59, 59, 999_999, tzinfo=UTC), "2026-05-01-10:00"),
        ("hour", datetime(2026, 5, 1, 0, tzinfo=timezone(timedelta(hours=2))), "2026-04-30-22:00"),
        (
            "hour",
            datetime(2026, 5, 1, 0, tzinfo=timezone(timedelta(hours=5.5))),
            "2026-04-30-18:00",
        ),
        ("day", datetime(2026, 5, 1, 23, 59, tzinfo=UTC), "2026-05-01"),
        ("day", datetime(2026, 5, 1, 1, tzinfo=timezone(timedelta(hours=2))), "2026-04-30"),
    ],
)
def test_a_moment_lies_in_one_period_of_utc(grain: str, moment: datetime, key: str) -> None:
    assert partitions.key(partitions.floor(moment, grain), grain) == key


def test_keys_are_spelled_as_dagster_spells_them(both: tuple[str, Any]) -> None:
    grain, definition = both
    keys = definition.get_partition_keys(current_time=NOW)
    first = partitions.floor(HISTORY_START, grain)
    ours = partitions.expand(first, partitions.floor(NOW, grain), grain)
    assert [partitions.key(start, grain) for start in ours] == keys
    for key in keys[:: max(len(keys) // 50, 1)]:
        window = definition.time_window_for_partition_key(key)
        assert partitions.start(key, grain) == window.start
        assert window.end == partitions.after(window.start, grain)
        assert window.start == partitions.after(window.end, grain, -1)


def test_the_open_period_is_a_partition_and_the_next_is_not(both: tuple[str, Any]) -> None:
    grain, definition = both
    now = partitions.floor(NOW, grain)
    keys = definition.get_partition_keys(current_time=NOW)
    assert keys[0] == partitions.key(HISTORY_START, grain)
    assert keys[-1] == partitions.key(now, grain)
    assert partitions.key(partitions.after(now, grain), grain) not in keys


@pytest.mark.parametrize("grain", GRAINS)
@given(moment=MOMENTS)
def test_any_moment_of_the_history_has_a_partition_and_its_key_leads_back(
    grain: str, moment: datetime
) -> None:
    start = partitions.floor(moment, grain)
    assert start <= moment < partitions.after(start, grain)
    assert start.tzinfo is UTC
    assert partitions.floor(start, grain) == start
    assert partitions.start(partitions.key(start, grain), grain) == start


@pytest.mark.parametrize("grain", GRAINS)
def test_a_period_of_another_zone_has_the_key_of_its_utc_start(grain: str) -> None:
    start = datetime(2026, 5, 1, tzinfo=UTC)
    local = start.astimezone(timezone(timedelta(hours=10)))
    assert partitions.key(local, grain) == partitions.key(start, grain)


@pytest.mark.parametrize("grain", GRAINS)
@given(numbers=st.lists(st.integers(0, 30)))
def test_ranges_hold_every_period_once_and_have_holes_between_them(
    grain: str, numbers: list[int]
) -> None:
    starts = [partitions.after(HISTORY_START, grain, n) for n in numbers]
    ranges = partitions.contiguous(starts, grain)
    expanded = [start for first, last in ranges for start in partitions.expand(first, last, grain)]
    assert expanded == sorted(set(starts))
    for (_, before), (after, _) in zip(ranges, ranges[1:], strict=False):
        assert after > partitions.after(before, grain)


@pytest.mark.parametrize("grain", GRAINS)
@given(
    numbers=st.sets(st.integers(0, 60)),
    hole=st.integers(0, 12),
    stops=st.sets(st.integers(0, 60)),
)
def test_a_range_reaches_over_short_holes_and_never_over_a_stop(
    grain: str, numbers: set[int], hole: int, stops: set[int]
) -> None:
    at = [partitions.after(HISTORY_START, grain, n) for n in range(61)]
    stops -= numbers
    ranges = partitions.contiguous((at[n] for n in numbers), grain, hole, (at[n] for n in stops))
    found = [(at.index(first), at.index(last)) for first, last in ranges]
    covered = [n for first, last in found for n in range(first, last + 1)]
    assert numbers <= set(covered)
    assert len(covered) == len(set(covered))
    assert not stops & set(covered)
    for first, last in found:
        inside = sorted(numbers & set(range(first, last + 1)))
        assert (inside[0], inside[-1]) == (first, last)
        assert all(after - before <= hole + 1 for before, after in pairwise(inside))
    # No two of them could have been one.
    for (_, before), (after, _) in pairwise(found):
        between = set(range(before + 1, after))
        assert len(between) > hole or between & stops


@pytest.mark.parametrize("grain", GRAINS)
def test_a_range_of_one_is_one_period_and_a_range_backwards_is_none(grain: str) -> None:
    before = partitions.after(HISTORY_START, grain, -1)
    assert partitions.contiguous([], grain) == []
    assert partitions.expand(HISTORY_START, HISTORY_START, grain) == [HISTORY_START]
    assert partitions.expand(HISTORY_START, before, grain) == []


@pytest.mark.parametrize("key", ["2026-05-01", "2026-05-01-10", "2026-05-01-25:00", "", "today"])
def test_a_key_of_another_spelling_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="does not match|unconverted"):
        partitions.start(key, "hour")


def test_ingest_and_event_partitions_are_two_definitions() -> None:
    contract = stream()
    assert partitions.ingest_partitions(contract) is not partitions.event_partitions(contract)
    assert str(partitions.ingest_partitions(contract).timezone) == "UTC"


def test_folders_hold_more_than_one_period() -> None:
    moment = datetime(2026, 5, 17, 23, 30, tzinfo=timezone(-timedelta(hours=2)))
    assert partitions.folder(moment, "hour").isoformat() == "2026-05-18"
    assert partitions.folder(moment, "day").isoformat() == "2026-05-01"
    assert partitions.folder(moment, "month").isoformat() == "2026-01-01"


def test_months_have_no_fixed_length() -> None:
    start = datetime(2027, 11, 1, tzinfo=UTC)
    assert [partitions.after(start, "month", n).month for n in (-11, 0, 1, 2, 3)] == [
        12,
        11,
        12,
        1,
        2,
    ]
    assert partitions.after(start, "month", 2).year == 2028
    assert partitions.expand(start, partitions.after(start, "month", 4), "month")[-1].month == 3
    assert partitions.late_after(stream(grain="month")).startswith("interval '1 month' + ")


@pytest.mark.parametrize(
    ("length", "grain", "periods"),
    [
        (timedelta(seconds=10), "hour", 1),
        (timedelta(hours=1), "hour", 1),
        (timedelta(minutes=61), "hour", 2),
        (timedelta(hours=25), "day", 2),
        (timedelta(days=29), "month", 2),
    ],
)
def test_a_window_holds_rows_of_so_many_periods_before_the_one_that_it_ends_in(
    length: timedelta, grain: str, periods: int
) -> None:
    assert partitions.reach(length, grain) == periods
    # The worst row: the last moment of a period, in a window that begins with it.
    end = partitions.after(datetime(2026, 2, 1, tzinfo=UTC), grain)
    row = end - timedelta(microseconds=1)
    ends_in = partitions.floor(row + length, grain)
    assert ends_in <= partitions.after(partitions.floor(row, grain), grain, periods)
