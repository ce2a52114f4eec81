"""Forecasts of closes: the figures against numpy, who sees which days, who beats the last close."""

import warnings

import numpy as np
import pytest

from de_stack.defs.stocks.core import analysis_backtest as backtests
from de_stack.defs.stocks.core.analysis import Parameters, Series, missing, reasons, series_of
from de_stack.defs.stocks.core.analysis_forecast import MODELS, NAIVE, forecast
from de_stack.defs.stocks.core.analysis_plot import MOST_SHOWN, plot
from de_stack.defs.stocks.core.analysis_predict import predictions, what_if
from de_stack_tests.domains.stocks.closes import broken_and_good, noise, real, rows_of, walk

FEW = Parameters(origins=4, changes=(-1000.0, -5.0, 5.0))


@pytest.fixture(scope="module", autouse=True)
def one_thread():  # noqa: ANN201
    """As in the assets: two test processes share two cores."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield


@pytest.fixture(scope="module")
def apple() -> list[Series]:
    return series_of(real("AAPL"))


@pytest.fixture(scope="module")
def tested(apple) -> list[dict]:  # noqa: ANN001
    return backtests.backtest(apple, FEW)


def test_the_naive_rows_have_the_errors_of_the_last_close(apple, tested) -> None:  # noqa: ANN001
    """Hyndman and Koehler 2006 for MASE: errors by the naive one-day error of the training days."""
    closes = apple[0].closes
    for part, first in (("choice", len(closes) - 40), ("judgement", len(closes) - 20)):
        [row] = [r for r in tested if (r["model"], r["part"]) == (NAIVE, part)]
        last = np.repeat([closes[first + i - 1] for i in range(0, 20, 5)], 5)
        actual = closes[first : first + 20]
        scale = [np.abs(np.diff(closes[: first + i])).mean() for i in range(0, 20, 5)]
        off = np.abs(actual - last)
        assert (row["n"], row["origins"], row["horizon"]) == (20, 4, 5)
        assert row["first_day"] == apple[0].days[first]
        assert row["last_day"] == apple[0].days[first + 19]
        assert row["mae"] == pytest.approx(off.mean(), rel=1e-9)
        assert row["rmse"] == pytest.approx(np.sqrt((off**2).mean()), rel=1e-9)
        assert row["mape_percent"] == pytest.approx(100 * (off / actual).mean(), rel=1e-9)
        assert row["mase"] == pytest.approx((off / np.repeat(scale, 5)).mean(), rel=1e-9)
        assert row["verdict"] is row["p_value"] is row["mae_of_naive_percent"] is None


def test_the_naive_interval_is_that_of_a_random_walk(apple) -> None:  # noqa: ANN001
    closes = apple[0].closes
    made = forecast(NAIVE, closes, 5)
    assert list(made.mean) == pytest.approx([closes[-1]] * 5)
    sigma = np.sqrt((np.diff(closes) ** 2).mean())
    assert made.upper - made.mean == pytest.approx(1.96 * sigma * np.sqrt(range(1, 6)), rel=1e-3)


def test_a_forecast_of_the_past_knows_no_day_after_it(apple, tested) -> None:  # noqa: ANN001
    """Other closes in the half that judges change nothing in the half that chooses."""
    changed = real("AAPL")
    for row in changed[-20:]:
        row["close"] *= 1.5
    again = backtests.backtest(series_of(changed), FEW)
    assert [r for r in again if r["part"] == "choice"] == [
        r for r in tested if r["part"] == "choice"
    ]
    assert backtests.chosen(again) == backtests.chosen(tested)
    assert again != tested


def test_the_model_with_the_smallest_error_of_the_first_half_is_chosen(tested) -> None:  # noqa: ANN001
    of_choice = {r["model"]: r["mae"] for r in tested if r["part"] == "choice"}
    del of_choice[NAIVE]
    assert backtests.chosen(tested) == {"AAPL": min(of_choice, key=lambda m: of_choice[m])}
    assert len(tested) == 2 * len(MODELS)


def test_nothing_beats_the_last_close_of_a_random_walk_and_that_is_said() -> None:
    daily = [row for seed in range(3) for row in rows_of(f"W{seed}", walk(seed, 160))]
    found = backtests.not_better(backtests.backtest(series_of(daily), Parameters(origins=8)))
    assert len(found) >= 2
    for said in found:
        assert ": MAE " in said and ", naive " in said and ", p " in said


def test_a_series_that_comes_back_to_its_mean_is_forecast_better_than_by_its_last_close() -> None:
    result = backtests.backtest(series_of(rows_of("N", noise(1))), Parameters())
    assert backtests.not_better(result) == []
    [row] = [r for r in result if r["part"] == "judgement" and r["is_chosen"]]
    assert row["verdict"] == "beats naive" and row["p_value"] < 0.05
    # The naive error has twice the variance: its ratio is about 1 / sqrt(2).
    assert 60 < row["mae_of_naive_percent"] < 85


def test_a_smaller_error_beats_only_where_chance_does_not_explain_it(tested) -> None:  # noqa: ANN001
    naive = {r["part"]: r["mae"] for r in tested if r["model"] == NAIVE}
    verdicts = set()
    for row in tested:
        if row["model"] != NAIVE:
            better = row["mae"] < naive[row["part"]]
            surely = "beats naive" if row["p_value"] < 0.05 else "better by chance"
            assert row["verdict"] == (surely if better else "not better")
            verdicts.add(row["verdict"])
    assert {"better by chance", "not better"} <= verdicts


def test_better_by_chance_does_not_count(tested) -> None:  # noqa: ANN001
    best = backtests.chosen(tested)["AAPL"]
    lucky = [
        r | {"verdict": "better by chance", "mae": 1.0, "p_value": 0.4} if r["model"] == best else r
        for r in tested
    ]
    [said] = backtests.not_better(lucky)
    assert said.startswith(f"AAPL: {best} is better by chance: MAE 1, naive ")


def test_what_statsmodels_warns_of_stands_in_the_table_and_not_in_the_log() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result = backtests.backtest(series_of(real("YHOO")), FEW)
    said = {r["model"]: r["warnings"] for r in result if r["part"] == "judgement"}
    assert said["arima_111"].startswith("4 x EstimationWarning: Non-invertible starting MA")
    assert said[NAIVE] is None


def test_stocks_without_a_forecast_have_all_their_rows_with_the_reason() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        series = series_of(broken_and_good())
        result = backtests.backtest(series, FEW)
        predicted = predictions(series, result, FEW)
        moved = what_if(series, result, FEW)
    for rows, each in ((result, 2 * len(MODELS)), (predicted, 5 * len(MODELS)), (moved, 5 * 3)):
        assert missing(series, rows) == []
        for one in series:
            of_stock = [r for r in rows if r["stock_name"] == one.stock_name]
            assert len(of_stock) == each
            if one.stock_name != "good":
                assert all(r["reason"] for r in of_stock)
    assert reasons(predicted)["short"] == "too short: 9 days with a close, 100 are needed"
    assert "good" not in reasons(predicted)
    assert {r["reason"] for r in moved if r["stock_name"] == "good"} == {
        None,
        "the moved close is not above zero",
    }
    broken = [said for said in backtests.not_better(result) if ": no model (" in said]
    assert len(broken) == len(series) - 1
    assert backtests.not_better([]) == []


def test_the_forecast_of_the_future_is_of_all_days_and_twice_the_same(apple, tested) -> None:  # noqa: ANN001
    rows = predictions(apple, tested, FEW)
    assert rows == predictions(apple, tested, FEW)
    assert backtests.backtest(apple, FEW) == tested
    best = backtests.chosen(tested)["AAPL"]
    chosen = [r for r in rows if r["is_chosen"]]
    assert [r["model"] for r in chosen] == [best] * 5
    made = forecast(best, apple[0].closes, 5)
    assert [r["predicted"] for r in chosen] == list(made.mean)
    assert all(r["lower_95"] < r["predicted"] < r["upper_95"] for r in rows)
    assert {(str(r["last_day"]), r["last_close"]) for r in rows} == {("2017-12-29", 169.23)}
    assert [str(r["day"]) for r in chosen][0] == "2018-01-01"


def test_a_random_walk_with_drift_takes_the_move_over_and_a_little_drift_of_it(
    apple,  # noqa: ANN001
    tested,  # noqa: ANN001
) -> None:
    """Its drift is (last - first) / steps: a move of X comes back as X (1 + h / steps)."""
    drift = "arima_010_drift"
    forced = [r | {"is_chosen": r["model"] == drift} for r in tested]
    rows = [r for r in what_if(apple, forced, FEW) if r["change"] == 5.0]
    closes = apple[0].closes
    expected = [5.0 * (1 + step / (len(closes) - 1)) for step in range(1, 6)]
    assert [r["difference"] for r in rows] == pytest.approx(expected, rel=1e-4)
    assert rows[0]["last_close_if"] == closes[-1] + 5
    assert rows[0]["return_percent"] == pytest.approx(100 * (closes[-1] / closes[-2] - 1))
    assert rows[0]["return_if_percent"] == pytest.approx(100 * ((closes[-1] + 5) / closes[-2] - 1))
    for row in rows:
        assert row["predicted_if"] - row["predicted"] == pytest.approx(row["difference"])


def test_the_picture_is_small_the_same_each_time_and_has_room_for_many_or_none(
    apple,  # noqa: ANN001
    tested,  # noqa: ANN001
) -> None:
    rows = predictions(apple, tested, FEW)
    picture = plot(apple, rows)
    assert picture == plot(apple, rows)
    assert picture.startswith(b"\x89PNG") and len(picture) < 50_000
    days = real("AAPL")[-60:]
    many = [row | {"stock_name": f"S{i}"} for i in range(MOST_SHOWN + 5) for row in days]
    copies = [row | {"stock_name": f"S{i}"} for i in range(MOST_SHOWN + 5) for row in rows]
    assert len(plot(series_of(many), copies)) < 200_000
    assert plot([], []).startswith(b"\x89PNG")
