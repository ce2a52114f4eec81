"""Times of a file: what they say, in which zone, and what is never guessed."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_stack.sources.replay.records import days_until
from de_stack.sources.replay.times import Times, question

BERLIN = ZoneInfo("Europe/Berlin")


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[arg-type, misc]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("2021-03-20 00:22", utc(2021, 3, 20, 0, 22)),
        ("2021-03-20T00:22:01.5", utc(2021, 3, 20, 0, 22, 1, 500000)),
        ("2021-03-20 00:22:01,123456789", utc(2021, 3, 20, 0, 22, 1, 123456)),
        # The decoder would take it, and with a shift it would stay where it is.
        ("2021-03-20T00:22:01.1234567891Z", utc(2021, 3, 20, 0, 22, 1, 123456)),
        ("2021-03-20", utc(2021, 3, 20)),
        ("2021/03/20 00:22:00", utc(2021, 3, 20, 0, 22)),
        (" 2021-03-20T00:22:00z ", utc(2021, 3, 20, 0, 22)),
        ("2021-03-20t00:22:00+0130", utc(2021, 3, 19, 22, 52)),
        ("2021-03-20 00:22:00 -05:00", utc(2021, 3, 20, 5, 22)),
        ("2021-03-20 00:22:00+01", utc(2021, 3, 19, 23, 22)),
        ("20/03/2021 00:22", None),
        ("03/04/2021", None),
        ("1616199720", None),
        ("2021-02-30", None),
        ("2021-03/20", None),
        ("2021-03-20 25:00", None),
        ("0001-01-01T00:00:00+01:00", None),
        ("today", None),
        ("", None),
    ],
)
def test_iso_texts_without_a_format(text, found) -> None:
    assert Times().read(text) == found


@pytest.mark.parametrize(
    ("form", "cell", "found"),
    [
        ("%d/%m/%Y %H:%M", "20/03/2021 00:22", utc(2021, 3, 20, 0, 22)),
        ("%d/%m/%Y %H:%M", "2021-03-20 00:22", None),
        ("%d/%m/%Y %H:%M", "2021-03-20T00:22:00Z", utc(2021, 3, 20, 0, 22)),
        ("s", "1616199720", utc(2021, 3, 20, 0, 22)),
        ("s", 1616199720.25, utc(2021, 3, 20, 0, 22, 0, 250000)),
        ("ms", "1534849271061", utc(2018, 8, 21, 11, 1, 11, 61000)),
        ("us", 1534849271061007, utc(2018, 8, 21, 11, 1, 11, 61007)),
        ("ms", "10:00", None),
        ("ms", True, None),
        (None, 1616199720, None),
        ("s", 10**30, None),
        (None, date(2021, 3, 20), utc(2021, 3, 20)),
        (None, datetime(2021, 3, 20, 1, tzinfo=BERLIN), utc(2021, 3, 20)),
        (None, [1], None),
    ],
)
def test_formats_numbers_and_types(form, cell, found) -> None:
    assert Times(form).read(cell) == found


def test_a_local_time_is_read_in_its_zone_and_counted() -> None:
    times = Times(zone=BERLIN)
    assert times.read("2021-01-01 12:00") == utc(2021, 1, 1, 11)
    assert times.read("2021-07-01 12:00") == utc(2021, 7, 1, 10)
    assert times.read("2021-07-01T12:00:00Z") == utc(2021, 7, 1, 12)
    assert (times.seen.naive, times.seen.skipped, times.seen.twice) == (2, 0, 0)


def test_a_local_time_that_the_clock_skips_is_none_and_one_that_comes_twice_is_the_first() -> None:
    # Germany 2021: 02:00 -> 03:00 on 28 March, 03:00 -> 02:00 on 31 October (Directive 2000/84/EC).
    times = Times(zone=BERLIN)
    assert times.read("2021-03-28 01:59:59") == utc(2021, 3, 28, 0, 59, 59)
    assert times.read("2021-03-28 02:30:00") is None
    assert times.read("2021-03-28 03:00:00") == utc(2021, 3, 28, 1)
    assert times.read("2021-10-31 02:30:00") == utc(2021, 10, 31, 0, 30)
    assert times.read("2021-10-31 03:00:00") == utc(2021, 10, 31, 2)
    assert (times.seen.naive, times.seen.skipped, times.seen.twice) == (5, 1, 1)


def test_dates() -> None:
    assert Times().read_date("2021-03-20") == date(2021, 3, 20)
    assert Times().read_date("2021-03-20 10:00") == date(2021, 3, 20)
    assert Times("%m/%d/%Y").read_date("3/20/2021") == date(2021, 3, 20)
    assert Times("%m/%d/%Y").read_date("2021-03-20") == date(2021, 3, 20)
    assert Times().read_date(datetime(2021, 3, 20, 10)) == date(2021, 3, 20)  # noqa: DTZ001
    assert [Times().read_date(x) for x in ("3/20/2021", 7, "2021-02-30")] == [None] * 3


@pytest.mark.parametrize(
    ("cells", "types"),
    [
        (["20/03/2021 00:22", "03/04/2021 10:00"], ["%d/%m/%Y %H:%M"]),
        (["3/4/1948", "1/31/1948"], ["%m/%d/%Y"]),
        (["03/04/2021", None, ""], ["%d/%m/%Y", "%m/%d/%Y"]),
        (["03.04.21 10:00:01"], ["%d.%m.%y %H:%M:%S", "%m.%d.%y %H:%M:%S"]),
        (["03-04-2021T10:00:01.5"], ["%d-%m-%YT%H:%M:%S.%f", "%m-%d-%YT%H:%M:%S.%f"]),
        (["3/14/2021 10:00 PM"], ["%m/%d/%Y %I:%M %p"]),
        (["1534849271061"], ["s, ms or us"]),
        ([1534849271], ["s, ms or us"]),
    ],
)
def test_what_would_have_to_be_guessed_is_asked_with_what_to_type(cells, types) -> None:
    asked = question(cells)
    assert asked is not None
    assert all(text in asked[1] for text in types)
    assert asked[1].count("--time-format") == len(types), "no other one is offered"


@pytest.mark.parametrize("cells", [[], [None], ["2021-03-20"], ["hello"], ["7"], ["1", "x"]])
def test_what_can_be_read_or_is_no_time_is_not_asked(cells) -> None:
    assert question(cells) is None


@given(st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1)), st.integers(-(10**6), 10**6))  # noqa: DTZ001
def test_the_shift_is_the_largest_whole_number_of_days_that_is_not_after_now(last, minutes) -> None:
    last = last.replace(tzinfo=UTC)
    now = last + timedelta(minutes=minutes)
    days = timedelta(days=days_until(last, now))
    assert last + days <= now < last + days + timedelta(days=1)
