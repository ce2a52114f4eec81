"""The averages of Spark against known numbers and plain arithmetic, on a real Spark server."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from de_stack.contracts.model import Window
from de_stack.defs.stocks.core import rules
from de_stack.settings import Settings
from de_stack_tests.domains.stocks import golden
from de_stack_tests.domains.stocks.trading import AVERAGES, EPOCH, Trade, averages
from de_stack_tests.integration.pipeline import session

US = timedelta(microseconds=1)
# Odd sizes beside those of the contract: slides that divide no hour, windows longer than one.
ODD = (
    Window("7s_3s", timedelta(seconds=7), timedelta(seconds=3)),
    Window("61m_7m", timedelta(minutes=61), timedelta(minutes=7)),
)
HOURS = st.sampled_from(
    [
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(1965, 3, 28, 23, tzinfo=UTC),
        datetime(2018, 8, 21, 11, tzinfo=UTC),
        datetime(2026, 10, 25, 1, tzinfo=UTC),
    ]
)
MOMENTS = st.builds(
    lambda hour, us: hour + us * US, HOURS, st.integers(-12_000_000, 12_000_000)
) | st.sampled_from([EPOCH, EPOCH - US, EPOCH + timedelta(seconds=5)])
TRADES = st.builds(
    Trade,
    st.sampled_from(["AGL", "ANZ", "BHP"]),
    st.floats(1e-6, 1e9, allow_nan=False),
    MOMENTS,
)


@pytest.fixture(scope="module")
def spark(stack: Settings) -> Any:
    """One session for all examples."""
    return session(stack)()


def frame(spark: Any, trades: Iterable[Trade]) -> Any:
    """Trades as a table; times go as numbers, so that no zone of a client has a say in them."""
    rows = [
        (t.stock, t.side, t.price, t.quantity, (t.at - EPOCH) // US, 0, n)
        for n, t in enumerate(trades)
    ]
    columns = "stock_name string, trade_type string, price double, quantity bigint, us bigint, "
    made = spark.createDataFrame(rows, columns + "partition int, offset bigint")
    return made.selectExpr("*", "timestamp_micros(us) as event_time")


def collected(rows: Any) -> list[tuple[Any, ...]]:
    """Averages from Spark, sorted, times in UTC."""
    times = ("window_start", "window_end")
    named = [f"unix_micros({n})" if n in times else n for n in AVERAGES.split(", ")]
    found = [tuple(row) for row in rows.selectExpr(*named).collect()]
    return sorted((*r[:2], EPOCH + r[2] * US, EPOCH + r[3] * US, *r[4:]) for r in found)


def sizes(windows: Iterable[Window]) -> list[tuple[str, timedelta, timedelta]]:
    return [(window.name, window.length, window.slide) for window in windows]


def test_the_nine_trades_have_their_known_averages(spark: Any) -> None:
    rows = rules.moving_averages(frame(spark, golden.trades()), sizes(golden.WINDOWS))
    golden.holds_for(collected(rows), set(golden.SIZES))


def test_lengths_may_be_written_as_spark_writes_them_and_a_watermark_changes_no_table(
    spark: Any,
) -> None:
    ticks = frame(spark, golden.trades())
    one = rules.moving_average(ticks, "10 seconds", "5 seconds", watermark="5 seconds")
    found = collected(one.selectExpr("'10s_5s' as window_name", "*"))
    golden.holds_for(found, {"10s_5s"})
    tumbling = rules.moving_average(ticks, timedelta(seconds=6))
    golden.holds_for(collected(tumbling.selectExpr("'6s' as window_name", "*")), {"6s"})


@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(TRADES, max_size=40), st.lists(st.integers(0, 39), max_size=10))
def test_averages_are_those_of_plain_arithmetic(
    spark: Any, trades: list[Trade], again: list[int]
) -> None:
    # Several at one moment, and the very same trade twice.
    trades += [trades[n] for n in again if n < len(trades)]
    windows = (*golden.WINDOWS, *ODD)
    found = collected(rules.moving_averages(frame(spark, trades), sizes(windows)))
    assert found == [golden.near(row) for row in averages(trades, windows)]


def test_a_minute_opens_with_its_first_trade_and_closes_with_its_last(spark: Any) -> None:
    minute = datetime(2026, 3, 1, 10, 59, tzinfo=UTC)

    def after(seconds: float) -> datetime:
        return minute + timedelta(seconds=seconds)

    trades = [
        # Of one moment: the broker's order counts, and not that of the prices.
        Trade("ANZ", 5.0, after(0), 10),
        Trade("ANZ", 4.0, after(0), 20),
        Trade("ANZ", 9.0, after(30), 1),
        Trade("ANZ", 7.0, after(59.999999), 2),
        Trade("ANZ", 8.0, after(59.999999), 3),
        Trade("ANZ", 1.0, after(60), 4),
        Trade("BHP", 2.0, after(61), 0),
        Trade("ANZ", 6.0, after(-1e-6), 5),
    ]
    for rows in (frame(spark, trades), frame(spark, trades).orderBy("price")):
        names = ("stock_name", "open", "high", "low", "close", "volume", "ticks")
        bars = rules.minute_bars(rows).selectExpr("unix_micros(minute)", *names)
        assert sorted((EPOCH + row[0] * US, *row[1:]) for row in bars.collect()) == [
            (after(-60), "ANZ", 6.0, 6.0, 6.0, 6.0, 5, 1),
            (minute, "ANZ", 5.0, 9.0, 4.0, 8.0, 36, 5),
            (after(60), "ANZ", 1.0, 1.0, 1.0, 1.0, 4, 1),
            (after(60), "BHP", 2.0, 2.0, 2.0, 2.0, 0, 1),
        ]
