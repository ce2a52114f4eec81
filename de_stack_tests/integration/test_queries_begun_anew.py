"""Continuous queries begun anew, in one go, and with clocks that are ahead.

Belongs here: what needs a topic and a checkpoint of its own. Does not belong here: the sinks, and
what people type (`test_continuous_queries.py`).
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from de_stack.settings import Settings
from de_stack.streaming.wanted import Wanted
from de_stack_tests.integration.querying import (
    LONG_S,
    Place,
    Tick,
    a_place,
    all_sent,
    differences,
    expected,
    from_lake,
    from_postgres,
    nine,
    send,
    stop,
)

MINUTE = datetime(2018, 8, 21, 11, 1, tzinfo=UTC)
pytestmark = pytest.mark.timeout(900)


@pytest.fixture
def place(stack: Settings, tmp_path: Path) -> Iterator[Place]:
    """Topics and a home of each test."""
    made = a_place(stack, tmp_path)
    yield made
    made.end()


def test_begun_anew_the_table_in_delta_has_each_window_once(place: Place) -> None:
    name = "stocks.closed_averages"
    ticks = [*nine(), Tick("ZZZ", 1.0, MINUTE + timedelta(minutes=2))]
    place.host(name)
    sent = send(place.settings, ticks)
    place.until_read(sent, name)
    old = place.history(name)
    assert from_lake(place.settings), "the test has proved nothing"
    stop(place)
    Wanted(place.settings.home).say(name, on=True, anew=True)
    place.host(name)
    place.until(lambda: place.history(name).query_id != old.query_id, "a new checkpoint")
    place.until_read(sent, name)
    # It fails where a window is there twice.
    assert not differences(
        from_lake(place.settings), expected(all_sent(place), place.history(name)).closed
    )
    stop(place)


def test_in_one_go_a_query_reads_what_there_is_and_the_continuous_form_goes_on_from_there(
    place: Place,
) -> None:
    name = "stocks.closed_averages"
    for ticks in (nine(), [Tick("AGL", 5.0, MINUTE + timedelta(minutes=m)) for m in (2, 4)]):
        sent = send(place.settings, ticks)
        assert place.host("--once", name).wait(LONG_S) == 0, place.said()
        place.until_read(sent, name, seconds=1)
    after = place.history(name)
    wanted = expected(all_sent(place), after).closed
    assert len(wanted) > 30, "the test has proved nothing"
    assert not differences(from_lake(place.settings), wanted)
    place.host(name)
    sent = send(place.settings, [Tick("AGL", 5.0, MINUTE + timedelta(minutes=8))])
    place.until_read(sent, name)
    assert place.history(name).query_id == after.query_id
    assert place.history(name).batches[-1].number > after.batches[-1].number > 0
    assert "Traceback" not in stop(place)


def test_a_clock_that_is_ahead_does_not_make_the_trades_of_others_late(place: Place) -> None:
    name = "stocks.live_averages"
    place.host(name)

    def stocks() -> set[str]:
        return {stock for _, stock, _ in from_postgres(place.settings)}

    place.until(lambda: place.status().get(name, {}).get("state") == "running", "it runs")
    # Not before the host is at work: the watermark is five seconds behind what it gets first.
    now = datetime.now(UTC)
    send(place.settings, [Tick("AHEAD", 1.0, now + timedelta(minutes=4))])
    place.until(lambda: "AHEAD" in stocks(), "the first trade is in")
    # A watermark counts from the batch after; one without rows is made for it.
    place.until(lambda: any(b.watermark_ms for b in place.history(name).batches), "a watermark")
    number = place.history(name).batches[-1].number
    send(place.settings, [Tick("BETWEEN", 2.0, now)])
    place.until(lambda: place.history(name).batches[-1].number > number, "a batch after")
    send(place.settings, [Tick("INTIME", 2.0, now)])
    place.until(lambda: "INTIME" in stocks(), "the trade in time is in")
    watermark = place.history(name).batches[-1].watermark_ms / 1000
    assert now.timestamp() - 6 <= watermark <= datetime.now(UTC).timestamp()
    stop(place)
