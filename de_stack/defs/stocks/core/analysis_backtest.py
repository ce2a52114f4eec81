"""How good the models were on the past: rolling origin, against the last close.

Belongs here: the back-test, which model it chooses, whether that one beats the naive way. Does not
belong here: models (`analysis_forecast.py`), the forecast of the future.

Each origin forecasts the days after it with a model that knows only the days up to it. The earlier
half of the origins chooses a model, the later half judges it: who chooses and judges by the same
days finds that the best of five is good.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_stack.defs.stocks.core.analysis import Parameters, Row, Series, attempt, heard, told
from de_stack.defs.stocks.core.analysis_forecast import CANDIDATES, MODELS, NAIVE, forecast
from de_stack.defs.stocks.core.analysis_schema import BACKTEST, table

if TYPE_CHECKING:
    import numpy as np

CHOICE, JUDGEMENT = PARTS = ("choice", "judgement")
BEATS, BY_CHANCE, NOT_BETTER = "beats naive", "better by chance", "not better"
_LEVEL = 0.05
# Days that the first model learns from, and origins in each half, at the least.
_LEAST_TRAINING, _LEAST_ORIGINS = 60, 4


def least_days(parameters: Parameters) -> int:
    """Closes without which there is no back-test."""
    return _LEAST_TRAINING + 2 * _LEAST_ORIGINS * parameters.horizon


def backtest(series: Sequence[Series], parameters: Parameters) -> list[Row]:
    """Columns of `BACKTEST`: a row per stock, model and half, for unfit stocks with the reason."""
    return table([row for s in series for row in _rows(s, parameters)], BACKTEST)


def judged(result: Sequence[Row]) -> dict[tuple[str, str], Row]:
    """The rows of the half `judgement` by stock and model."""
    return {(r["stock_name"], r["model"]): r for r in result if r["part"] == JUDGEMENT}


def chosen(result: Sequence[Row]) -> dict[str, str]:
    """The chosen model of each stock that has one."""
    return {stock: model for (stock, model), row in judged(result).items() if row["is_chosen"]}


def not_better(result: Sequence[Row]) -> list[str]:
    """Stocks whose chosen model does not beat the naive forecast, with figures; or has none."""
    rows, best, found = judged(result), chosen(result), []
    for stock in sorted({stock for stock, _ in rows}):
        naive = rows[stock, NAIVE]
        if stock not in best:
            found.append(f"{stock}: no model ({naive['reason'] or 'none could be fitted'})")
            continue
        row = rows[stock, best[stock]]
        if row["verdict"] != BEATS:
            figures = f"MAE {row['mae']:.4g}, naive {_figure(naive['mae'])}"
            found.append(
                f"{stock}: {row['model']} is {row['verdict'] or 'not compared'}: {figures}, "
                f"p {_figure(row['p_value'])}"
            )
    return found


def errors(result: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Per stock with a chosen model: its errors in the judgement, beside the naive forecast's."""
    rows, best = judged(result), chosen(result)
    shown = ("mae", "rmse", "mape_percent", "mase", "covered_percent", "p_value", "verdict")
    return {
        stock: {"model": model, "naive_mae": rows[stock, NAIVE]["mae"]}
        | {name: rows[stock, model][name] for name in shown}
        for stock, model in sorted(best.items())
    }


def _figure(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.4g}"


def _rows(series: Series, parameters: Parameters) -> list[Row]:
    horizon, closes = parameters.horizon, series.closes
    reason = series.unfit(least_days(parameters))
    origins = min(parameters.origins, (len(closes) - _LEAST_TRAINING) // (2 * horizon))
    rows: dict[tuple[str, str], Row] = {}
    for part, halves in ((CHOICE, 2), (JUDGEMENT, 1)):
        first = len(closes) - halves * origins * horizon
        starts = range(first, first + origins * horizon, horizon)
        naive: _Past | None = None
        for model in MODELS:
            row: Row = {"stock_name": series.stock_name, "model": model, "part": part}
            row |= {"horizon": horizon, "note": series.note, "reason": reason}
            if reason is None:
                past = _past(model, closes, starts, horizon)
                naive = past if model == NAIVE else naive
                row |= _measured(series, past, naive)
            rows[model, part] = row
    able = [m for m in CANDIDATES if all(rows[m, part]["reason"] is None for part in PARTS)]
    best = min(able, key=lambda model: rows[model, CHOICE]["mae"], default=None)
    return [{**row, "is_chosen": model == best} for (model, _), row in rows.items()]


@dataclass
class _Past:
    """Forecasts of one half, end to end; `scale` is the naive error in each one's training."""

    starts: range
    actual: np.ndarray
    mean: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    scale: np.ndarray
    warnings: Counter[str]
    reason: str | None


def _past(model: str, closes: np.ndarray, starts: range, horizon: int) -> _Past:
    import numpy as np
    from sklearn.metrics import mean_absolute_error

    made = []
    for start in starts:
        made.append(forecast(model, closes[:start], horizon))
        if made[-1].reason:
            break
    naive = [mean_absolute_error(closes[1:start], closes[: start - 1]) for start in starts]
    return _Past(
        starts,
        closes[starts.start : starts.stop],
        *(np.concatenate([getattr(f, name) for f in made]) for name in ("mean", "lower", "upper")),
        scale=np.repeat(naive, horizon),
        warnings=sum((f.warnings for f in made), Counter()),
        reason=made[-1].reason,
    )


def _measured(series: Series, past: _Past, naive: _Past | None) -> Row:
    from sklearn import metrics

    row: Row = {
        "origins": len(past.starts),
        "n": len(past.actual),
        "first_day": series.days[past.starts.start],
        "last_day": series.days[past.starts.stop - 1],
        "warnings": told(past.warnings),
        "reason": past.reason,
    }
    if past.reason:
        return row
    actual, mean = past.actual, past.mean
    mae = metrics.mean_absolute_error(actual, mean)
    # Errors in units of the naive error are errors of scaled values.
    mase = None
    if (past.scale > 0).all():
        mase = metrics.mean_absolute_error(actual / past.scale, mean / past.scale)
    row |= {
        "mae": mae,
        "rmse": metrics.root_mean_squared_error(actual, mean),
        "mape_percent": 100 * metrics.mean_absolute_percentage_error(actual, mean),
        "mase": mase,
        "covered_percent": 100 * float(((past.lower <= actual) & (actual <= past.upper)).mean()),
    }
    if naive is None or naive.reason or naive is past:
        return row
    of_naive = metrics.mean_absolute_error(actual, naive.mean)
    p_value, said = _p_value(past, naive)
    better = mae < of_naive
    verdict = (BEATS if p_value < _LEVEL else BY_CHANCE) if better else NOT_BETTER
    return row | {
        "mae_of_naive_percent": 100 * mae / of_naive if of_naive else None,
        "p_value": p_value,
        "verdict": verdict,
        "warnings": told(past.warnings + said),
    }


def _p_value(past: _Past, naive: _Past) -> tuple[float, Counter[str]]:
    """No number where the forecasts are the same."""
    from statsmodels.tsa.stattools import diebold_mariano_test

    horizon = len(past.actual) // len(past.starts)
    with heard() as said:
        tested, _ = attempt(
            lambda: diebold_mariano_test(
                past.actual,
                past.mean,
                naive.mean,
                criterion="mae",
                harvey_adj=True,
                horizon=horizon,
            )
        )
    return (float(tested.pvalue) if tested else float("nan")), said
