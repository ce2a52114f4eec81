"""Trend, season and rest of a stock's close, as sum and as product.

Belongs here: statsmodels' decomposition by moving averages, and the proof that its parts make the
close again. Does not belong here: series (`analysis.py`), forecasts.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from de_stack.defs.stocks.core.analysis import (
    Parameters,
    Row,
    Series,
    attempt,
    heard,
    told,
)
from de_stack.defs.stocks.core.analysis_schema import DECOMPOSITION, table

MODELS = ("additive", "multiplicative")
# Twice the whole period is what statsmodels asks for.
_PERIODS = 2
_RELATIVE_ERROR = 1e-9


def decomposition(series: Sequence[Series], parameters: Parameters) -> list[Row]:
    """Columns of `DECOMPOSITION`: a row per stock, model and day; one of its last day if unfit."""
    rows = [row for s in series for m in MODELS for row in _rows(s, m, parameters.period)]
    return table(rows, DECOMPOSITION)


def _rows(series: Series, model: str, period: int) -> list[Row]:
    from statsmodels.tsa.seasonal import seasonal_decompose

    same: Row = {"stock_name": series.stock_name, "model": model, "period": period}
    found, reason = None, series.unfit(_PERIODS * period)
    with heard() as said:
        if reason is None:
            found, reason = attempt(
                lambda: seasonal_decompose(
                    series.closes, model=model, period=period, two_sided=True
                )
            )
    same |= {"note": series.note, "warnings": told(said), "reason": reason}
    if found is None:
        return [{**same, "day": series.last_day}]
    columns = (found.observed, found.trend, found.seasonal, found.resid)
    return [
        {
            **same,
            "day": day,
            "observed": float(observed),
            "trend": float(trend),
            "seasonal": float(seasonal),
            "residual": float(residual),
        }
        for day, observed, trend, seasonal, residual in zip(series.days, *columns, strict=True)
    ]


def not_recombined(result: Sequence[Row]) -> list[str]:
    """What is wrong with the parts: `stock model day` of those that do not make the close again.

    The trend, a centred moving average, has no value in the first and the last half period; a
    stock and model with more days without one are named, too.
    """
    found, without = [], Counter[tuple[str, str, int]]()
    for row in result:
        if row["reason"]:
            continue
        if row["trend"] is None:
            without[row["stock_name"], row["model"], row["period"]] += 1
            continue
        parts = [row["trend"], row["seasonal"], row["residual"]]
        made = math.nan
        if None not in parts:
            made = sum(parts) if row["model"] == "additive" else math.prod(parts)
        if not math.isclose(made, row["observed"], rel_tol=_RELATIVE_ERROR):
            found.append(f"{row['stock_name']} {row['model']} {row['day']}")
    return found + [
        f"{stock} {model}: {days} days without a trend"
        for (stock, model, period), days in without.items()
        if days > period
    ]
