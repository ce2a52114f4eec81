"""Is a stock's close a random walk: unit root tests of closes, differences and log returns.

Belongs here: ADF and KPSS by statsmodels, and what both together mean. Does not belong here:
series (`analysis.py`), models.

The two tests ask opposite questions: ADF takes a unit root for granted until it is rejected, KPSS
takes stationarity for granted. Each runs around a constant and around a straight trend.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from de_stack.defs.stocks.core.analysis import Row, Series, attempt, heard, told
from de_stack.defs.stocks.core.analysis_schema import STATIONARITY, table

if TYPE_CHECKING:
    import numpy as np

LEVEL = 0.05
# Fewer say nothing: the tests are asymptotic.
LEAST_DAYS = 30
_BOUND = {"smaller": "at most", "greater": "at least"}


def stationarity(series: Sequence[Series]) -> list[Row]:
    """Columns of `STATIONARITY`: three rows per stock."""
    return table([row for s in series for row in _rows(s)], STATIONARITY)


def _rows(series: Series) -> list[Row]:
    import numpy as np

    reason = series.unfit(LEAST_DAYS)
    found = []
    for name in ("close", "difference", "log_return"):
        row = {"stock_name": series.stock_name, "series": name, "note": series.note}
        row |= {"n": len(series.closes) - (name != "close"), "reason": reason}
        if reason is None:
            closes = np.log(series.closes) if name == "log_return" else series.closes
            values = closes if name == "close" else np.diff(closes)
            tested, row["reason"] = attempt(lambda values=values: unit_roots(values))
            row |= tested or {}
        found.append(row)
    return found


def unit_roots(values: np.ndarray) -> Row:
    """Both tests around a constant and a trend (`..._trend`), and the verdict."""
    from statsmodels.tools.sm_exceptions import InterpolationWarning
    from statsmodels.tsa.stattools import adfuller, kpss

    found: Row = {}
    said: Counter[str] = Counter()
    for around, suffix in (("c", ""), ("ct", "_trend")):
        with heard() as warned:
            # Typed as the tuples that both returned in the past.
            adf: Any = adfuller(values, regression=around, autolag="AIC", result_object=True)
            held: Any = kpss(
                values,
                regression=around,  # type: ignore[arg-type]
                nlags="auto",
                result_object=True,
            )
        bound = "equal"
        for text in list(warned):
            # The table of KPSS ends at 0.01 and 0.1: not a fault but what the figure means.
            if text.startswith(InterpolationWarning.__name__):
                bound = next(words for word, words in _BOUND.items() if word in text)
                del warned[text]
        said += warned
        found |= {
            f"adf{suffix}_statistic": float(adf.statistic),
            f"adf{suffix}_p_value": float(adf.pvalue),
            f"adf{suffix}_lags": int(adf.lags),
            f"kpss{suffix}_statistic": float(held.statistic),
            f"kpss{suffix}_p_value": float(held.pvalue),
            f"kpss{suffix}_p_is": bound,
            f"kpss{suffix}_lags": int(held.lags),
        }
    return {**found, "verdict": verdict(found), "says": _says(found), "warnings": told(said)}


def verdict(p: Row) -> str:
    """What the tests mean together at 5 %: they must agree, or the answer is `inconclusive`."""
    adf, kpss = p["adf_p_value"] < LEVEL, p["kpss_p_value"] < LEVEL
    adf_trend, kpss_trend = p["adf_trend_p_value"] < LEVEL, p["kpss_trend_p_value"] < LEVEL
    if adf and not kpss:
        return "stationary"
    if adf_trend and not kpss_trend:
        return "trend-stationary"
    if kpss and not adf and not adf_trend:
        return "unit root"
    return "inconclusive"


def _says(p: Row) -> str:
    parts = []
    for suffix, around in (("", "a constant"), ("_trend", "a trend")):
        adf, kpss, bound = (
            p[f"adf{suffix}_p_value"],
            p[f"kpss{suffix}_p_value"],
            p[f"kpss{suffix}_p_is"],
        )
        first = "rejects" if adf < LEVEL else "does not reject"
        second = "rejects" if kpss < LEVEL else "does not reject"
        parts.append(
            f"around {around}: ADF {first} a unit root (p {adf:.4f}), "
            f"KPSS {second} stationarity (p {'' if bound == 'equal' else bound + ' '}{kpss:.4f})"
        )
    return "; ".join(parts)
