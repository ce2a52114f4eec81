"""Forecasts of a close some trading days ahead: the naive one and the candidates.

Belongs here: which models there are, fitting one, its forecast with an interval. Does not belong
here: choosing (`analysis_backtest.py`), series (`analysis.py`).

All of it is statsmodels. Few candidates, on purpose: the more are tried on one past, the better the
best of them looks by chance.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_stack.defs.stocks.core.analysis import attempt, heard

if TYPE_CHECKING:
    import numpy as np

NAIVE = "naive"
# ARIMA: order and trend (`t` is a drift). The naive forecast is a random walk: the last close.
_ARIMA: dict[str, tuple[tuple[int, int, int], str]] = {
    NAIVE: ((0, 1, 0), "n"),
    "arima_010_drift": ((0, 1, 0), "t"),
    "arima_111": ((1, 1, 1), "n"),
}
# Exponential smoothing with additive errors, without a trend (the same as an ARIMA(0,1,1)) and with
# a damped one.
_ETS: dict[str, dict[str, Any]] = {
    "ets_level": {},
    "ets_damped_trend": {"trend": "add", "damped_trend": True},
}
MODELS = (*_ARIMA, *_ETS)
CANDIDATES = tuple(model for model in MODELS if model != NAIVE)
_ALPHA = 0.05


@dataclass(frozen=True)
class Forecast:
    """One value per step ahead; or why there is none."""

    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    warnings: Counter[str]
    reason: str | None = None


def forecast(model: str, closes: np.ndarray, horizon: int) -> Forecast:
    """The model, fitted to all of `closes`, `horizon` steps ahead, with its 95 % interval."""
    import numpy as np

    with heard() as said:
        found, reason = attempt(lambda: _fitted(model, closes, horizon))
    if found is not None and not all(np.isfinite(values).all() for values in found):
        reason = "the forecast is no number"
    if found is None or reason:
        nothing = np.full(horizon, np.nan)
        return Forecast(nothing, nothing, nothing, said, reason)
    return Forecast(*found, said)


def _fitted(
    model: str, closes: np.ndarray, horizon: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    import pandas as pd
    from statsmodels.tsa.arima.model import ARIMA
    from statsmodels.tsa.exponential_smoothing.ets import ETSModel

    if model in _ARIMA:
        order, trend = _ARIMA[model]
        made = ARIMA(closes, order=order, trend=trend).fit().get_forecast(horizon)
        names = ("mean", "mean_ci_lower", "mean_ci_upper")
    else:
        fitted: Any = ETSModel(pd.Series(closes), error="add", **_ETS[model]).fit(disp=False)
        made = fitted.get_prediction(len(closes), len(closes) + horizon - 1)
        names = ("mean", "pi_lower", "pi_upper")
    table = made.summary_frame(alpha=_ALPHA)
    mean, lower, upper = (table[name].to_numpy(float) for name in names)
    return mean, lower, upper
