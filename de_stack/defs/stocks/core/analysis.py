"""Daily closes as the analyses take them: one series per stock, and why one cannot be analysed.

Belongs here: a stock's closes in order, what is remarkable about them, what a library said while it
computed. Does not belong here: a test, a model (`analysis_*.py`), reading or publishing tables.

Whatever is wrong with one stock is a word in its rows, never an end of the others. The libraries
are imported where they are used: Dagster imports this module whenever it loads the code location.
"""

from __future__ import annotations

import math
import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import numpy as np

Row = dict[str, Any]
_Made = TypeVar("_Made")
# What statsmodels and numpy raise for numbers that they cannot work with (LinAlgError is one).
NOT_COMPUTABLE = (ValueError, ArithmeticError, IndexError)
# Longer than any holiday of an exchange: worth a word.
_LONG_GAP_DAYS = 7
_SATURDAY = 5


@dataclass(frozen=True)
class Parameters:
    """What can be chosen; the reasons for the defaults are in docs/analysis.md.

    `period` and `horizon` are trading days. `origins` are days to forecast from, in each half of
    the back-test. `changes` are amounts by which the last close is moved.
    """

    period: int = 5
    horizon: int = 5
    origins: int = 15
    changes: tuple[float, ...] = (-10.0, -5.0, -1.0, 1.0, 5.0, 10.0)


@dataclass(frozen=True)
class Series:
    """Closes of one stock by trading day, without those that are no price.

    Holidays are no gap: days count one by one. `note` says what was left out or is remarkable.
    `last_day` is that of its last row, with a close or without.
    """

    stock_name: str
    days: tuple[date, ...]
    closes: np.ndarray
    last_day: date
    note: str | None
    reason: str | None

    def unfit(self, least: int) -> str | None:
        """Why nothing can be computed from fewer than `least` days; None where there are more."""
        if self.reason:
            return self.reason
        if len(self.closes) < least:
            return f"too short: {len(self.closes)} days with a close, {least} are needed"
        if (self.closes == self.closes[0]).all():
            return "constant: the close never changes"
        return None


def series_of(daily: Sequence[Row]) -> list[Series]:
    """A series for every stock in the table, in the order of their names.

    Args:
        daily: rows with `stock_name`, `day`, `close`, in any order.
    """
    stocks: defaultdict[str, list[Row]] = defaultdict(list)
    for row in daily:
        stocks[row["stock_name"]].append(row)
    newest = max((row["day"] for row in daily), default=None)
    return [_series(name, stocks[name], newest) for name in sorted(stocks)]


def _series(name: str, rows: list[Row], newest: date | None) -> Series:
    import numpy as np

    rows = sorted(rows, key=lambda row: row["day"])
    good = [r for r in rows if r["close"] is not None and math.isfinite(r["close"])]
    days = tuple(row["day"] for row in good)
    reason = None
    if any(row["close"] <= 0 for row in good):
        reason = "a close is not above zero"
    for row, after in pairwise(rows):
        if row["day"] == after["day"]:
            reason = f"{row['day']} has several rows"
    notes = []
    if len(good) < len(rows):
        notes.append(f"days without a close, left out: {len(rows) - len(good)}")
    gap, at = max((((y - x).days, x) for x, y in pairwise(days)), default=(0, None))
    if gap > _LONG_GAP_DAYS:
        notes.append(f"no close for {gap - 1} days after {at}")
    if days and newest and (behind := (newest - days[-1]).days) > _LONG_GAP_DAYS:
        notes.append(f"ends {behind} days before the newest day of all stocks")
    closes = np.array([row["close"] for row in good], dtype=float)
    return Series(name, days, closes, rows[-1]["day"], "; ".join(notes) or None, reason)


def next_days(series: Series, count: int) -> list[date]:
    """The dates after a series' last close: Monday to Friday, unless it has weekends itself.

    Holidays of an exchange are not known here.
    """
    trades_at_weekends = any(day.weekday() >= _SATURDAY for day in series.days)
    found, day = [], series.days[-1] if series.days else series.last_day
    while len(found) < count:
        day += timedelta(days=1)
        if trades_at_weekends or day.weekday() < _SATURDAY:
            found.append(day)
    return found


@contextmanager
def heard() -> Iterator[Counter[str]]:
    """Counts what is warned of inside the block, in one line each; nothing reaches the log."""
    said: Counter[str] = Counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield said
    for warning in caught:
        text = " ".join(str(warning.message).split())
        said[f"{warning.category.__name__}: {text}"] += 1


def told(said: Counter[str]) -> str | None:
    """Warnings as text for a column: how often and what; None without any."""
    return "; ".join(f"{count} x {text}" for text, count in sorted(said.items())) or None


def attempt(compute: Callable[[], _Made]) -> tuple[_Made, None] | tuple[None, str]:
    """(what it computes, None), or (None, why it cannot be computed)."""
    try:
        return compute(), None
    except NOT_COMPUTABLE as error:
        return None, f"{type(error).__name__}: {error}"


def missing(series: Sequence[Series], result: Sequence[Row]) -> list[str]:
    """Stocks that a result says nothing of."""
    return sorted({each.stock_name for each in series} - {row["stock_name"] for row in result})


def reasons(result: Sequence[Row]) -> dict[str, str]:
    """Stocks without some of their figures, and why."""
    return {row["stock_name"]: row["reason"] for row in result if row["reason"]}
