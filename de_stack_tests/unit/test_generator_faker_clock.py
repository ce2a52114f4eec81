"""Faker's providers and the time: they see the event's, in whatever locale."""

import datetime as real
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from de_stack.sources.generator.function import Use
from de_stack.sources.generator.functions import Fake

NOW = datetime(2012, 2, 29, 23, 30, tzinfo=UTC)
DAY = timedelta(days=1)


def made(provider: str, kind: str, locale: str = "en_US", **args: Any) -> list[Any]:
    make = Fake(provider=provider, args=args, locale=locale).maker(Use(kind, "seed"))
    return [make({}, NOW) for _ in range(50)]


@pytest.mark.parametrize(
    ("provider", "first", "last"),
    [
        ("date_time", datetime(1970, 1, 1, tzinfo=UTC), NOW),
        ("date_time_this_year", datetime(2012, 1, 1, tzinfo=UTC), NOW),
        ("past_datetime", NOW - 31 * DAY, NOW),
        ("future_datetime", NOW, NOW + 31 * DAY),
        ("date_time_between", NOW - 31 * 366 * DAY, NOW),
    ],
)
def test_what_looks_at_the_clock_sees_the_time_of_the_event(
    provider: str, first: datetime, last: datetime
) -> None:
    found = [datetime.fromisoformat(value) for value in made(provider, "timestamp")]
    assert first <= min(found) < max(found) <= last


def test_numbers_and_dates_follow_it_too() -> None:
    assert max(made("unix_time", "number")) <= NOW.timestamp()
    ages = [NOW.date() - real.date.fromisoformat(d) for d in made("date_of_birth", "date")]
    assert timedelta(0) <= min(ages) < max(ages) < 117 * 366 * DAY
    # The century is a sign in it: - for 1900 to 1999.
    assert {value[6] for value in made("ssn", "string", "fi_FI", min_age=20)} == {"-"}


def test_no_provider_keeps_the_clock_of_the_machine() -> None:
    for locale in ("en_US", "fi_FI", "zh_CN", "no_NO", "ru_RU"):
        made("word", "string", locale)
    providers = {n: vars(m) for n, m in sys.modules.items() if n.startswith("faker.providers.")}
    assert len(providers) > 20
    clocks = (real, real.datetime, real.date)
    kept = {
        n for n, words in providers.items() if any(w is c for w in words.values() for c in clocks)
    }
    assert kept == set()


def test_without_an_event_it_is_now() -> None:
    from faker import Faker

    made("word", "string")
    told = Faker().future_datetime()
    assert datetime.now() - DAY < told < datetime.now() + 32 * DAY  # noqa: DTZ005 - Faker's are naive
