"""The next trading days of a close, as they are forecast, and if the last close were another.

Belongs here: forecasts of all models from the whole past, the what-if. Does not belong here: which
model is chosen (`analysis_backtest.py`), the models (`analysis_forecast.py`).
"""

from __future__ import annotations

from collections.abc import Sequence

from de_stack.defs.stocks.core.analysis import Parameters, Row, Series, next_days, told
from de_stack.defs.stocks.core.analysis_backtest import chosen, judged, least_days
from de_stack.defs.stocks.core.analysis_forecast import MODELS, Forecast, forecast
from de_stack.defs.stocks.core.analysis_schema import PREDICTIONS, WHAT_IF, table


def predictions(
    series: Sequence[Series], tested: Sequence[Row], parameters: Parameters
) -> list[Row]:
    """Columns of `PREDICTIONS`: a row per stock, model and step.

    Args:
        series: all stocks.
        tested: the back-test of the same series.
        parameters: horizon.
    """
    of_past, best = judged(tested), chosen(tested)
    rows = []
    for each in series:
        reason = each.unfit(least_days(parameters))
        for model in MODELS:
            made = None if reason else forecast(model, each.closes, parameters.horizon)
            same = {
                "model": model,
                "is_chosen": best.get(each.stock_name) == model,
                "verdict": of_past[each.stock_name, model]["verdict"],
                "reason": reason or (made.reason if made else None),
                "warnings": told(made.warnings) if made else None,
            }
            for row in _steps(each, parameters.horizon, same):
                if made:
                    at = row["step"] - 1
                    row |= {"predicted": made.mean[at], "lower_95": made.lower[at]}
                    row |= {"upper_95": made.upper[at]}
                rows.append(row)
    return table(rows, PREDICTIONS)


def what_if(series: Sequence[Series], tested: Sequence[Row], parameters: Parameters) -> list[Row]:
    """Columns of `WHAT_IF`: a row per stock, change of the last close and step.

    The model is fitted anew to the series with its last close moved: what it would have said had
    the day ended there.
    """
    best = chosen(tested)
    rows = []
    for each in series:
        model, reason = best.get(each.stock_name), each.unfit(least_days(parameters))
        if model is None and reason is None:
            reason = "no model could be back-tested"
        as_it_is = forecast(model, each.closes, parameters.horizon) if model else None
        for change in parameters.changes:
            rows += _moved(each, model, change, as_it_is, reason, parameters.horizon)
    return table(rows, WHAT_IF)


def _moved(
    series: Series,
    model: str | None,
    change: float,
    as_it_is: Forecast | None,
    reason: str | None,
    horizon: int,
) -> list[Row]:
    closes = series.closes.copy()
    moved = None
    if len(closes):
        closes[-1] += change
        if closes[-1] <= 0:
            reason = reason or "the moved close is not above zero"
        elif model:
            moved = forecast(model, closes, horizon)
            reason = reason or moved.reason or (as_it_is.reason if as_it_is else None)
    same: Row = {"model": model, "change": change, "reason": reason}
    if len(closes):
        same["last_close_if"] = closes[-1]
    if len(closes) > 1:
        before = closes[-2]
        same["return_percent"] = 100 * (series.closes[-1] / before - 1)
        same["return_if_percent"] = 100 * (closes[-1] / before - 1)
    rows = _steps(series, horizon, same)
    for row in rows:
        at = row["step"] - 1
        if as_it_is:
            row["predicted"] = as_it_is.mean[at]
        if as_it_is and moved:
            row["warnings"] = told(moved.warnings)
            row |= {"predicted_if": moved.mean[at]}
            row |= {"difference": moved.mean[at] - as_it_is.mean[at]}
    return rows


def _steps(series: Series, horizon: int, same: Row) -> list[Row]:
    """A row per step with what all rows of a stock have."""
    same = {"stock_name": series.stock_name, "note": series.note, **same}
    if len(series.closes):
        same |= {"last_day": series.days[-1], "last_close": series.closes[-1]}
    days = next_days(series, horizon)
    return [{**same, "step": step, "day": day} for step, day in enumerate(days, start=1)]
