"""Columns of the analyses' tables: name, Postgres type, meaning.

Belongs here: the tables as data, and rows with a table's columns. Does not belong here:
what computes them (`analysis_*.py`).
"""

from __future__ import annotations

import math
from typing import Any

Column = tuple[str, str, str]
Columns = tuple[Column, ...]

_TEXT, _NUMBER, _COUNT, _DATE, _FLAG = "text", "double precision", "bigint", "date", "boolean"
_STOCK = ("stock_name", _TEXT, "Symbol of the stock.")
_SAID: Columns = (
    ("note", _TEXT, "What is remarkable about the closes: days left out, gaps, an early end."),
    ("warnings", _TEXT, "What statsmodels warned of, and how often."),
    ("reason", _TEXT, "Why there is no result; then the figures are null."),
)


def _test(prefix: str, around: str) -> Columns:
    adf, kpss = f"adf{prefix}", f"kpss{prefix}"
    return (
        (f"{adf}_statistic", _NUMBER, f"Augmented Dickey-Fuller test around {around}: statistic."),
        (f"{adf}_p_value", _NUMBER, "Its p-value; small: no unit root."),
        (f"{adf}_lags", _COUNT, "Lags that AIC has chosen."),
        (f"{kpss}_statistic", _NUMBER, f"KPSS test around {around}: statistic."),
        (f"{kpss}_p_value", _NUMBER, "Its p-value, between 0.01 and 0.1; small: not stationary."),
        (f"{kpss}_p_is", _TEXT, "`equal`; `at most` or `at least` where the test's table ends."),
        (f"{kpss}_lags", _COUNT, "Lags by the rule of Hobijn et al."),
    )


STATIONARITY: Columns = (
    _STOCK,
    ("series", _TEXT, "`close`, `difference` (of closes), `log_return`."),
    ("n", _COUNT, "Values that were tested."),
    ("verdict", _TEXT, "`stationary`, `trend-stationary`, `unit root`, `inconclusive`; at 5 %."),
    ("says", _TEXT, "What each test says, in words."),
    *_test("", "a constant"),
    *_test("_trend", "a straight trend"),
    *_SAID,
)
STATIONARITY_KEY = ("stock_name", "series")

DECOMPOSITION: Columns = (
    _STOCK,
    ("day", _DATE, "Trading day."),
    ("model", _TEXT, "`additive`: the parts are added; `multiplicative`: multiplied."),
    ("period", _COUNT, "Length of the season in trading days."),
    ("observed", _NUMBER, "The close."),
    ("trend", _NUMBER, "Centred moving average; null in the first and the last half period."),
    ("seasonal", _NUMBER, "The period's figure for that day: an amount, or a factor."),
    ("residual", _NUMBER, "What is left; null without a trend."),
    *_SAID,
)
DECOMPOSITION_KEY = ("stock_name", "model", "day")

BACKTEST: Columns = (
    _STOCK,
    ("model", _TEXT, "`naive` is the last close, from statsmodels' ARIMA(0,1,0)."),
    ("part", _TEXT, "`choice`: the half that chose the model; `judgement`: the half after it."),
    ("is_chosen", _FLAG, "Smallest MAE of the half `choice`, `naive` aside."),
    ("horizon", _COUNT, "Trading days that each origin forecasts."),
    ("origins", _COUNT, "Days that were forecast from, each with a model of its own."),
    ("n", _COUNT, "Forecasts that the figures are of."),
    ("first_day", _DATE, "First day that was forecast."),
    ("last_day", _DATE, "Last day that was forecast."),
    ("mae", _NUMBER, "Mean absolute error, in the stock's currency."),
    ("rmse", _NUMBER, "Root of the mean squared error, in the stock's currency."),
    ("mape_percent", _NUMBER, "Mean absolute error in percent of the close."),
    ("mase", _NUMBER, "Mean absolute error by that of the naive way for one day of training."),
    ("covered_percent", _NUMBER, "Closes inside the 95 % interval, in percent: 95 is right."),
    ("mae_of_naive_percent", _NUMBER, "MAE in percent of the naive one's: below 100 is better."),
    ("p_value", _NUMBER, "Diebold-Mariano test of equal absolute errors with the naive way."),
    ("verdict", _TEXT, "`beats naive` (better, p below 5 %), `better by chance`, `not better`."),
    *_SAID,
)
BACKTEST_KEY = ("stock_name", "model", "part")

PREDICTIONS: Columns = (
    _STOCK,
    ("model", _TEXT, "As in model_backtest."),
    ("step", _COUNT, "Trading days after the last close."),
    ("day", _DATE, "Monday to Friday; holidays are not known."),
    ("is_chosen", _FLAG, "The model that the back-test chose for this stock."),
    ("verdict", _TEXT, "Of the model in the half `judgement` of the back-test."),
    ("last_day", _DATE, "Day of the last close."),
    ("last_close", _NUMBER, "The last close."),
    ("predicted", _NUMBER, "Forecast of the close."),
    ("lower_95", _NUMBER, "Lower end of the 95 % prediction interval."),
    ("upper_95", _NUMBER, "Upper end of the 95 % prediction interval."),
    *_SAID,
)
PREDICTIONS_KEY = ("stock_name", "model", "step")

WHAT_IF: Columns = (
    _STOCK,
    ("change", _NUMBER, "By how much the last close is moved, in the stock's currency."),
    ("step", _COUNT, "Trading days after the last close."),
    ("day", _DATE, "Monday to Friday; holidays are not known."),
    ("model", _TEXT, "The chosen one, fitted anew to the moved series."),
    ("last_day", _DATE, "Day of the last close."),
    ("last_close", _NUMBER, "The last close as it is."),
    ("last_close_if", _NUMBER, "The last close, moved."),
    ("return_percent", _NUMBER, "Return of the last day as it is."),
    ("return_if_percent", _NUMBER, "Return of the last day, with the close moved."),
    ("predicted", _NUMBER, "Forecast without the move."),
    ("predicted_if", _NUMBER, "Forecast with the move."),
    ("difference", _NUMBER, "How much of the move the forecast takes over."),
    *_SAID,
)
WHAT_IF_KEY = ("stock_name", "change", "step")


def table(rows: list[dict[str, Any]], columns: Columns) -> list[dict[str, Any]]:
    """Rows with all columns of a table and no others; what is no number or not there is null."""
    names = [name for name, _, _ in columns]
    for row in rows:
        assert row.keys() <= set(names), row.keys() - set(names)  # noqa: S101 - a typing error
    return [{name: _value(row.get(name)) for name in names} for row in rows]


def _value(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
