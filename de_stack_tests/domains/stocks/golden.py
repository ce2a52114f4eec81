"""The nine trades of the first Spark job on stocks, and the numbers that it gave for them.

Belongs here: `seed_sample_stocks.csv` as trades, its numbers as they are known.
Does not belong here: computing them.
"""

from __future__ import annotations

import csv
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from de_stack.contracts.model import Window
from de_stack_tests.domains.stocks.trading import TICKS, Trade

SEED = Path(__file__).with_name("seed_sample_stocks.csv")
FOUR_SECONDS = Window("4s", timedelta(seconds=4), timedelta(seconds=4))
WINDOWS = (*TICKS.windows, FOUR_SECONDS)
# Window name -> rows.
SIZES = {"10s_5s": 7, "3s_1s": 20, "6s": 6, "4s": 5}
_MINUTE = datetime(2018, 8, 21, 11, 1, tzinfo=UTC)
# Second at which the window begins, stock, average, lowest, highest, trades.
_TEN_SECONDS = (
    (5, "AGL", 261.55, 26.57, 496.53, 2),
    (5, "AMC", 457.15, 158.84, 755.46, 2),
    (10, "AGL", 595.435, 26.57, 948.21, 4),
    (10, "AMC", 457.15, 158.84, 755.46, 2),
    (10, "ANZ", 473.63, 26.44, 899.60, 3),
    (15, "AGL", 929.32, 910.43, 948.21, 2),
    (15, "ANZ", 473.63, 26.44, 899.60, 3),
)
# Stock, side, highest price, shares on average, trades.
_TOTALS = (
    ("AGL", "BUY", 496.53, 233, 1),
    ("AGL", "SELL", 948.21, 1664 / 3, 3),
    ("AMC", "BUY", 755.46, 231, 1),
    ("AMC", "SELL", 158.84, 216, 1),
    ("ANZ", "BUY", 899.60, 490, 2),
    ("ANZ", "SELL", 494.85, 714, 1),
)


def trades() -> list[Trade]:
    """The nine."""
    with SEED.open(encoding="utf-8", newline="") as file:
        return [
            Trade(
                stock,
                float(price),
                datetime.fromtimestamp(0, UTC) + timedelta(milliseconds=int(millis)),
                int(quantity),
                side.strip(),
            )
            for stock, side, price, quantity, millis, _ in csv.reader(file)
        ]


def near(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row whose floating numbers are compared to 1e-9 of themselves."""
    return tuple(pytest.approx(v, rel=1e-9, abs=0) if isinstance(v, float) else v for v in row)


TEN_SECONDS = [
    near(
        (
            "10s_5s",
            stock,
            _MINUTE + timedelta(seconds=second),
            _MINUTE + timedelta(seconds=second + 10),
            *numbers,
        )
    )
    for second, stock, *numbers in sorted(_TEN_SECONDS, key=lambda row: (row[1], row[0]))
]
TOTALS = [near(row) for row in _TOTALS]


def holds_for(rows: list[tuple[Any, ...]], names: set[str]) -> None:
    """Averages of the nine trades are the known ones; as many rows as known of sizes of windows."""
    found = {name: [row for row in rows if row[0] == name] for name in names}
    sizes = {name: len(of) for name, of in found.items()}
    assert sizes == {name: SIZES[name] for name in names}, f"rows per size: {sizes}"
    assert sum(map(len, found.values())) == len(rows)
    if "10s_5s" in names:
        assert sorted(found["10s_5s"]) == TEN_SECONDS
