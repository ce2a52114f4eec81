"""What dbt makes of trades and bars: real dbt, DuckDB and Delta; no Spark, no services."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import deltalake
import pyarrow as pa
import pytest

from de_stack.contracts.dbt import variable, windows
from de_stack.contracts.model import Window
from de_stack.resources import dbt, dbt_process, warehouse
from de_stack.settings import Settings
from de_stack_tests.domains.stocks import golden
from de_stack_tests.domains.stocks.trading import AVERAGES, TICKS, Trade, averages

BARS = ["open", "high", "low", "close", "volume", "ticks"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


def build(
    home: Path,
    trades: Sequence[Trade],
    bars: Sequence[tuple],
    *names: str,
    sizes: Sequence[Window] = TICKS.windows,
) -> Settings:
    """Run dbt's models and unit tests of these names over what silver and gold hold."""
    settings = Settings(home=home, warehouse_path=home / "w.duckdb")
    zoned = pa.timestamp("us", tz="UTC")
    silver = pa.table(
        {
            "event_id": [f"e{i}" for i in range(len(trades))],
            "event_hour": pa.array(
                [t.at.replace(minute=0, second=0, microsecond=0) for t in trades], zoned
            ),
            "stock_name": [t.stock for t in trades],
            "trade_type": [t.side for t in trades],
            "price": [t.price for t in trades],
            "quantity": [t.quantity for t in trades],
            "event_time": pa.array([t.at for t in trades], zoned),
        }
    )
    kinds = [pa.string(), zoned, *[pa.float64()] * 4, pa.int64(), pa.int64()]
    columns = zip(["stock_name", "minute", *BARS], kinds, strict=True)
    gold = pa.table(
        {name: pa.array([bar[i] for bar in bars], kind) for i, (name, kind) in enumerate(columns)}
    )
    places = {}
    for name, table in (("silver_ticks", silver), ("gold_ohlcv_1m", gold)):
        deltalake.write_deltalake(str(home / name), table, mode="overwrite")
        version = deltalake.DeltaTable(str(home / name)).version()
        places[f"stocks.{name}"] = (variable("stocks", name), str(home / name), version)
    values = dbt_process.environment(settings, places)
    values |= windows([replace(TICKS, windows=tuple(sizes))])
    arguments = ["build", "--select", *(f"+{name}" for name in names)]
    results = dbt_process.execute(settings, arguments, values, dbt.PROJECT)
    assert [r for r in results if not r.ok] == []
    assert {r.unique_id.split(".")[2] for r in results} >= set(names)
    return settings


def rows(settings: Settings, table: str, columns: Sequence[str]) -> list[tuple[Any, ...]]:
    found, _ = warehouse.read_table(settings, "stocks", table, columns)
    return sorted(tuple(row.values()) for row in found.to_pylist())


def test_the_nine_trades_have_their_known_averages_and_totals(home: Path) -> None:
    made = ("mart_moving_averages", "mart_trade_totals")
    # Those of the contract, and the one of four seconds that has known numbers beside them.
    settings = build(home, golden.trades(), [], *made, sizes=golden.WINDOWS)
    found = rows(settings, made[0], AVERAGES.split(", "))
    golden.holds_for(found, set(golden.SIZES))
    assert found == [golden.near(row) for row in averages(golden.trades(), golden.WINDOWS)]
    totals = ["stock_name", "trade_type", "max_price", "avg_quantity", "trades"]
    assert rows(settings, made[1], totals) == golden.TOTALS


def test_averages_by_sql_are_those_of_plain_arithmetic_across_hours_and_before_1970(
    home: Path,
) -> None:
    chance = random.Random(7)  # noqa: S311 - test data
    edges = [datetime(1970, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, tzinfo=UTC)]
    trades = [
        Trade(
            chance.choice("AB"),
            chance.uniform(1, 900),
            chance.choice(edges) + timedelta(microseconds=chance.randrange(-(10**7), 10**7)),
        )
        for _ in range(200)
    ]
    trades += [Trade("A", 5.0, trade.at) for trade in trades[:20]]
    # With these 22 it is 25 hours: of the first only windows that end in the second are left.
    trades += [Trade("A", 1.0, edges[0] + timedelta(hours=n)) for n in range(2, 24)]
    trades += [Trade("A", 3.0, edges[1] - timedelta(seconds=n)) for n in (20, 40)]
    settings = build(home, trades, [], "mart_moving_averages")
    found = rows(settings, "mart_moving_averages", AVERAGES.split(", "))
    wanted = [row for row in averages(trades, TICKS.windows) if row[3] >= edges[1]]
    assert any(row[2] < edges[1] < row[3] for row in wanted)
    assert found == [golden.near(row) for row in wanted]


def test_longer_bars_are_exact_and_their_periods_are_those_of_utc(home: Path, monkeypatch) -> None:
    monkeypatch.setenv("TZ", "Australia/Sydney")
    chance = random.Random(11)  # noqa: S311 - test data
    start = datetime(2026, 11, 29, 22, 50, tzinfo=UTC)
    minutes = sorted(chance.sample(range(3 * 24 * 60), 400))
    bars = []
    for stock in ("AGL", "ZZZ"):
        for minute in minutes:
            prices = [chance.uniform(1, 100) for _ in range(4)]
            at = start + timedelta(minutes=minute)
            ends = (min(prices), max(prices))
            volume = chance.randrange(2**52)
            bars.append((stock, at, prices[0], ends[1], ends[0], prices[3], volume, 4))
    chance.shuffle(bars)
    names = {
        "gold_ohlcv_1h": ("hour", lambda at: at.replace(minute=0)),
        "gold_ohlcv_1d": ("day", lambda at: at.date()),
        "gold_ohlcv_1w": ("week", lambda at: at.date() - timedelta(days=at.weekday())),
        "gold_ohlcv_1mo": ("month", lambda at: date(at.year, at.month, 1)),
    }
    settings = build(home, golden.trades(), bars, *names)
    for name, (column, period) in names.items():
        wanted: dict[tuple, list[tuple]] = {}
        for bar in sorted(bars):
            wanted.setdefault((bar[0], period(bar[1])), []).append(bar[2:])
        assert rows(settings, name, ["stock_name", column, *BARS]) == [
            (
                *key,
                of[0][0],
                max(bar[1] for bar in of),
                min(bar[2] for bar in of),
                of[-1][3],
                sum(bar[4] for bar in of),
                sum(bar[5] for bar in of),
            )
            for key, of in sorted(wanted.items())
        ]
