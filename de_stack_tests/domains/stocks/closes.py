"""Daily closes: real ones of two stocks, made ones whose truth is known, broken ones."""

import csv
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np

FILE = Path(__file__).with_name("daily_closes.csv")


def real(*stocks: str) -> list[dict[str, Any]]:
    with FILE.open(encoding="utf-8") as file:
        rows = [r for r in csv.DictReader(file) if r["stock_name"] in stocks]
    return [{**r, "day": date.fromisoformat(r["day"]), "close": float(r["close"])} for r in rows]


def rows_of(stock: str, closes: Sequence[float | None] | np.ndarray) -> list[dict[str, Any]]:
    """One row per weekday."""
    found, day = [], date(2020, 1, 5)
    for close in closes:
        day += timedelta(days=3 if day.weekday() == 4 else 1)
        found.append({"stock_name": stock, "day": day, "close": close})
    return found


def walk(seed: int, days: int = 300) -> list[float]:
    return list(200 + np.random.default_rng(seed).normal(size=days).cumsum())


def noise(seed: int, days: int = 300) -> list[float]:
    return list(200 + np.random.default_rng(seed).normal(size=days))


BROKEN = {
    "short": (walk(1)[:9], "too short: 9 days with a close, "),
    "constant": ([50.0] * 300, "constant: the close never changes"),
    "negative": ([*walk(2)[:299], -1.0], "a close is not above zero"),
    "empty": ([None] * 300, "too short: 0 days with a close, "),
    "twice": (walk(3), "2020-01-06 has several rows"),
}


def broken_and_good() -> list[dict[str, Any]]:
    daily = [row for name, (closes, _) in BROKEN.items() for row in rows_of(name, closes)]
    daily += rows_of("twice", [1.0])
    return daily + rows_of("good", walk(4))
