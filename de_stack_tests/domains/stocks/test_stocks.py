"""Trades from Kafka to the tables that people read; a second run changes nothing. Real services."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import dagster as dg
import pytest

from de_stack.defs.stocks import watch
from de_stack.flow.counts import count
from de_stack.settings import Settings
from de_stack_tests.domains.stocks import golden
from de_stack_tests.domains.stocks.trading import (
    AVERAGES,
    TICKS,
    published,
    run_what_is_asked,
    send,
)
from de_stack_tests.integration.pipeline import enter_namespace, materialize, serving
from de_stack_tests.integration.test_sensors import tick

HOUR = datetime(2018, 8, 21, 11, tzinfo=UTC)
GOLD = ("gold_moving_averages", "gold_ohlcv_1m")
BARS = "open, high, low, close, volume, ticks"
# Of the nine trades, by hand: first, highest, lowest, last price, shares, trades.
DAY = {
    "AGL": (496.53, 948.21, 26.57, 910.43, 233 + 181 + 540 + 943, 4),
    "AMC": (158.84, 755.46, 158.84, 755.46, 216 + 231, 2),
    "ANZ": (899.60, 899.60, 26.44, 26.44, 647 + 714 + 333, 3),
}
PERIODS = {
    "1m": ("minute", HOUR + timedelta(minutes=1)),
    "1h": ("hour", HOUR),
    "1d": ("day", date(2018, 8, 21)),
    "1w": ("week", date(2018, 8, 20)),
    "1mo": ("month", date(2018, 8, 1)),
}


@pytest.fixture
def settings(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A namespace of its own."""
    return enter_namespace(monkeypatch)


def everything(settings: Settings) -> dict[str, list]:
    """All that is in Postgres of stocks."""
    schema = settings.names.schema("stocks")
    tables = [
        name
        for (name,) in serving(
            settings,
            f"select tablename from pg_tables where schemaname = '{schema}' "
            "and tablename not like 'dead%' order by 1",
        )
    ]
    sql = "select * from {}.{} order by 1, 2, 3"
    return {name: serving(settings, sql.format(schema, name)) for name in tables}


def test_the_nine_trades_come_to_every_table_with_their_known_numbers(settings: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert tick(watch.marts_of_ticks, settings, instance) == "the source has not changed"
        # Four as lines, blanks and local times included, five as JSON.
        lines = golden.SEED.read_text(encoding="utf-8").splitlines()
        send(settings, [*lines[:4], *golden.trades()[4:]])
        run_what_is_asked(settings, instance)
        asked = tick(watch.marts_of_ticks, settings, instance)
        assert isinstance(asked, dg.RunRequest)
        names = [key.path[1] for key in asked.asset_selection or []]
        materialize(names, domain="stocks", instance=instance)
        assert tick(watch.marts_of_ticks, settings, instance) == "the source has not changed"

        averages = published(settings, "gold_moving_averages", AVERAGES)
        golden.holds_for(averages, {window.name for window in TICKS.windows})
        by_sql = published(settings, "mart_moving_averages", AVERAGES)
        assert by_sql == [golden.near(row) for row in averages]
        listed = "stock_name, trade_type, max_price, avg_quantity, trades"
        assert published(settings, "mart_trade_totals", listed) == golden.TOTALS
        for name, (column, start) in PERIODS.items():
            bars = published(settings, f"gold_ohlcv_{name}", f"stock_name, {column}, {BARS}")
            assert bars == [(stock, start, *numbers) for stock, numbers in DAY.items()], name

        found = count(settings, TICKS)
        assert (found.silver, found.published, found.pending) == (9, 9, 0)
        assert found.agree

        # Asked for again by hand: the same rows, and nothing moves.
        before = everything(settings)
        assert set(before) >= {"gold_moving_averages", "gold_ohlcv_1d", "mart_trade_totals"}
        chain = ["silver_ticks", *GOLD, *(f"published_{name}" for name in GOLD)]
        materialize(chain, HOUR, HOUR + timedelta(hours=1), domain="stocks", instance=instance)
        materialize(names, domain="stocks", instance=instance)
        assert everything(settings) == before


def test_only_the_tables_of_dbt_whose_source_has_moved_on_are_asked_for(
    settings: Settings,
) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        send(settings, golden.trades())
        materialize(["silver_ticks"], HOUR, domain="stocks", instance=instance)
        asked = tick(watch.marts_of_ticks, settings, instance)
        assert isinstance(asked, dg.RunRequest)
        assert {key.path[1] for key in asked.asset_selection or []} == {
            "mart_moving_averages",
            "mart_trade_totals",
            "published_mart_moving_averages",
            "published_mart_trade_totals",
        }
