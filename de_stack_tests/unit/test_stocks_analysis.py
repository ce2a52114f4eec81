"""Closes as series, unit root tests, decomposition: against statsmodels' documented figures and
numpy, and on what real tables have: short, constant, broken stocks beside good ones."""

import math
import warnings
from datetime import date

import numpy as np
import pytest

from de_stack.defs.stocks.core.analysis import Parameters, missing, next_days, reasons, series_of
from de_stack.defs.stocks.core.analysis_decomposition import decomposition, not_recombined
from de_stack.defs.stocks.core.analysis_stationarity import stationarity, unit_roots, verdict
from de_stack_tests.domains.stocks.closes import (
    BROKEN,
    broken_and_good,
    noise,
    real,
    rows_of,
    walk,
)


def close_rows(found: list[dict]) -> dict[str, dict]:
    return {row["stock_name"]: row for row in found if row["series"] == "close"}


def test_the_tests_give_the_figures_that_statsmodels_documents_for_the_sunspots() -> None:
    """The notebook "Stationarity and detrending (ADF/KPSS)" of statsmodels' documentation."""
    from statsmodels.datasets import sunspots

    activity = sunspots.load_pandas().data["SUNACTIVITY"].to_numpy()
    found = unit_roots(activity)
    assert found["adf_statistic"] == pytest.approx(-2.837781, abs=1e-6)
    assert found["adf_p_value"] == pytest.approx(0.053076, abs=1e-6)
    assert found["adf_lags"] == 8
    assert found["kpss_statistic"] == pytest.approx(0.669866, abs=1e-6)
    assert found["kpss_p_value"] == pytest.approx(0.016285, abs=1e-6)
    assert (found["kpss_lags"], found["kpss_p_is"]) == (7, "equal")
    differenced = unit_roots(np.diff(activity))
    assert differenced["adf_statistic"] == pytest.approx(-14.861664, abs=1e-5)
    assert differenced["kpss_statistic"] == pytest.approx(0.021193, abs=1e-6)
    assert (differenced["kpss_p_value"], differenced["kpss_p_is"]) == (0.1, "at least")
    assert "p at least 0.1000" in differenced["says"] and differenced["warnings"] is None
    assert differenced["verdict"] == "stationary"


def test_the_statistics_of_real_closes_are_those_of_the_definitions() -> None:
    row = close_rows(stationarity(series_of(real("AAPL"))))["AAPL"]
    closes = np.array([r["close"] for r in real("AAPL")])
    # ADF: t-value of the level in a regression of the differences (Said and Dickey 1984).
    lags, steps = row["adf_lags"], np.diff(closes)
    columns = [closes[lags:-1], np.ones(len(steps) - lags)]
    columns += [steps[lags - i : len(steps) - i] for i in range(1, lags + 1)]
    x, y = np.column_stack(columns), steps[lags:]
    beta = np.linalg.lstsq(x, y, rcond=None)[0]
    rest = y - x @ beta
    sigma = np.sqrt(rest @ rest / (len(y) - x.shape[1]) * np.linalg.inv(x.T @ x)[0, 0])
    assert row["adf_statistic"] == pytest.approx(beta[0] / sigma, rel=1e-6)
    # KPSS: partial sums against a Newey-West variance (Kwiatkowski et al. 1992).
    lags, rest, n = row["kpss_lags"], closes - closes.mean(), len(closes)
    variance = rest @ rest + 2 * sum(
        (1 - i / (lags + 1)) * (rest[i:] @ rest[:-i]) for i in range(1, lags + 1)
    )
    eta = (rest.cumsum() ** 2).sum() / n**2
    assert row["kpss_statistic"] == pytest.approx(eta / (variance / n), rel=1e-6)


def test_real_closes_wander_and_their_steps_do_not() -> None:
    found = stationarity(series_of(real("AAPL", "YHOO")))
    verdicts = {(r["stock_name"], r["series"]): r["verdict"] for r in found}
    assert verdicts["AAPL", "close"] == verdicts["YHOO", "close"] == "unit root"
    assert verdicts["AAPL", "difference"] == verdicts["AAPL", "log_return"] == "stationary"
    # Around a constant the tests disagree, around a trend they do not.
    assert verdicts["YHOO", "difference"] == "trend-stationary"
    row = close_rows(found)["AAPL"]
    assert (row["kpss_p_value"], row["kpss_p_is"]) == (0.01, "at most")
    assert "KPSS rejects stationarity (p at most 0.0100)" in row["says"]
    assert close_rows(found)["YHOO"]["note"] == "ends 196 days before the newest day of all stocks"


@pytest.mark.parametrize(
    ("small", "meaning"),
    [
        ("adf", "stationary"),
        ("adf kpss", "inconclusive"),
        ("adf adf_trend", "stationary"),
        ("kpss adf_trend", "trend-stationary"),
        ("kpss adf_trend kpss_trend", "inconclusive"),
        ("adf kpss adf_trend", "trend-stationary"),
        ("kpss", "unit root"),
        ("kpss kpss_trend", "unit root"),
        ("kpss_trend", "inconclusive"),
        ("", "inconclusive"),
    ],
)
def test_a_verdict_needs_both_tests(small: str, meaning: str) -> None:
    names = ("adf", "kpss", "adf_trend", "kpss_trend")
    assert verdict({f"{n}_p_value": 0.04 if n in small.split() else 0.06 for n in names}) == meaning


@pytest.mark.parametrize(
    ("made", "meaning"),
    [
        (walk, "unit root"),
        (noise, "stationary"),
        (lambda s: list(np.arange(300) * 0.5 + np.array(noise(s))), "trend-stationary"),
    ],
)
def test_the_verdict_is_the_truth_for_series_whose_truth_is_known(made, meaning) -> None:  # noqa: ANN001
    """Tests at 5 % err; a wrong rule errs nearly always."""
    daily = [row for seed in range(10) for row in rows_of(f"S{seed}", made(seed))]
    found = close_rows(stationarity(series_of(daily)))
    assert sum(row["verdict"] == meaning for row in found.values()) >= 8


@pytest.mark.parametrize(
    "analysis", [stationarity, lambda series: decomposition(series, Parameters())]
)
def test_a_stock_that_cannot_be_analysed_says_why_and_takes_no_other_with_it(analysis) -> None:  # noqa: ANN001
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = analysis(series_of(broken_and_good()))
    alone = analysis(series_of(rows_of("good", walk(4))))
    assert [row for row in found if row["stock_name"] == "good"] == alone
    said = reasons(found)
    assert said.keys() == BROKEN.keys()
    for name, (_, reason) in BROKEN.items():
        assert said[name].startswith(reason)
    assert missing(series_of(broken_and_good()), found) == []
    lost = [row for row in found if row["stock_name"] != "short"]
    assert missing(series_of(broken_and_good()), lost) == ["short"]


def test_days_without_a_close_are_left_out_and_told_and_so_is_a_long_gap() -> None:
    closes = walk(5)
    daily = rows_of("S", closes)
    daily[10]["close"], daily[20]["close"] = math.nan, None
    del daily[100:110]
    [series] = series_of(daily)
    kept = [c for i, c in enumerate(closes) if i not in (10, 20) and not 100 <= i < 110]
    assert list(series.closes) == kept
    gap = f"no close for {(daily[100]['day'] - daily[99]['day']).days - 1} days after"
    assert series.note == f"days without a close, left out: 2; {gap} {daily[99]['day']}"
    for row in stationarity([series]) + decomposition([series], Parameters()):
        assert row["note"] == series.note and row["reason"] is None


def test_a_line_has_steps_without_life_and_only_those_are_refused() -> None:
    found = stationarity(series_of(rows_of("line", np.arange(100.0, 400.0))))
    assert "constant" in found[1]["reason"] and found[1]["series"] == "difference"
    assert found[2]["reason"] is None


def test_the_parts_of_real_closes_are_moving_average_weekly_figure_and_rest() -> None:
    rows = [
        r
        for r in decomposition(series_of(real("AAPL")), Parameters(period=5))
        if r["model"] == "additive"
    ]
    closes = np.array([r["close"] for r in real("AAPL")])
    assert [r["observed"] for r in rows] == list(closes)
    trend = np.convolve(closes, np.ones(5) / 5, mode="valid")
    assert [r["trend"] for r in rows[:2] + rows[-2:]] == [None] * 4
    assert np.allclose([r["trend"] for r in rows[2:-2]], trend)
    rest = closes[2:-2] - trend
    means = np.array([rest[(i - 2) % 5 :: 5].mean() for i in range(5)])
    season = means - means.mean()
    assert np.allclose([r["seasonal"] for r in rows], [season[i % 5] for i in range(len(rows))])
    assert np.allclose(
        [r["residual"] for r in rows[2:-2]], rest - [season[i % 5] for i in range(2, len(rows) - 2)]
    )


@pytest.mark.parametrize("period", [2, 5, 21])
def test_the_parts_make_the_close_again_in_both_models_and_a_broken_one_is_named(period) -> None:  # noqa: ANN001
    found = decomposition(series_of(real("AAPL", "YHOO")), Parameters(period=period))
    assert not_recombined(found) == []
    for number, broken in ((100, {"seasonal": 3.0}), (100, {"residual": None})):
        wrong = [*found[:number], found[number] | broken, *found[number + 1 :]]
        assert not_recombined(wrong) == [f"AAPL additive {found[number]['day']}"]
    emptied = [row | {"trend": None} if row["stock_name"] == "YHOO" else row for row in found]
    assert not_recombined(emptied) == [
        f"YHOO {model}: 619 days without a trend" for model in ("additive", "multiplicative")
    ]


def test_the_next_days_are_weekdays_unless_the_stock_trades_at_weekends() -> None:
    [week] = series_of([{"stock_name": "S", "day": date(2017, 12, 29), "close": 1.0}])
    assert next_days(week, 2) == [date(2018, 1, 1), date(2018, 1, 2)]
    [always] = series_of([{"stock_name": "S", "day": date(2017, 12, 30), "close": 1.0}])
    assert next_days(always, 2) == [date(2017, 12, 31), date(2018, 1, 1)]
