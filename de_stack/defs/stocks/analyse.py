"""gold_ohlcv_1d -> what the daily closes are like: unit roots, trend and season.

Belongs here: the assets and their checks, reading the daily table. Does not belong here: the
arithmetic (`core/analysis_*.py`), forecasts (`train.py`), what the tables say (docs/analysis.md).
"""

from collections.abc import Sequence

import dagster as dg
from pydantic import Field

from de_stack.contracts import load_stream
from de_stack.defs.stocks.core import analysis_schema as schema
from de_stack.defs.stocks.core.analysis import Parameters, Row, Series, missing, reasons, series_of
from de_stack.flow.results import Result, read_published
from de_stack.orchestration.results import key_of, shared, told
from de_stack.settings import Settings

TICKS = load_stream("stocks.ticks")
DAILY = "gold_ohlcv_1d"
DAILY_KEY = dg.AssetKey(["stocks", f"published_{DAILY}"])
STATIONARITY = Result(
    "stocks",
    "stats",
    "stationarity",
    schema.STATIONARITY,
    schema.STATIONARITY_KEY,
    "Per stock, whether close, difference and log return wander (unit root) or keep to a level: "
    "ADF and KPSS tests, and what both together mean.",
)
DECOMPOSITION = Result(
    "stocks",
    "gold",
    "decomposition",
    schema.DECOMPOSITION,
    schema.DECOMPOSITION_KEY,
    "Per stock and day, the close as trend, season and rest, added (additive) and multiplied "
    "(multiplicative).",
)
RESULTS = (STATIONARITY, DECOMPOSITION)
_MOST_SHOWN = 20


def daily(settings: Settings) -> tuple[list[Series], int]:
    """Every stock's closes, and the version that they are of; raises as `read_published`."""
    rows, version = read_published(settings, "stocks", DAILY, ["stock_name", "day", "close"])
    return series_of(rows), version


def every_stock_spec(result: Result) -> dg.AssetCheckSpec:
    """The check that `every_stock` answers."""
    return dg.AssetCheckSpec(
        "accounts_for_every_stock",
        asset=key_of(result),
        description="Each stock has rows: figures, or the reason why there are none.",
    )


def every_stock(
    result: Result, series: Sequence[Series], rows: Sequence[Row]
) -> dg.AssetCheckResult:
    """Names the stocks that are missing, and those without figures."""
    lost = missing(series, rows)
    return dg.AssetCheckResult(
        asset_key=key_of(result),
        check_name="accounts_for_every_stock",
        passed=not lost,
        metadata={
            "stocks": len(series),
            "missing": dg.MetadataValue.json(lost),
            "without_figures": dg.MetadataValue.json(reasons(rows)),
        },
    )


@dg.asset(
    **shared(TICKS, STATIONARITY),
    description=STATIONARITY.description,
    deps=[DAILY_KEY],
    check_specs=[every_stock_spec(STATIONARITY)],
)
def stats_stationarity(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    """Raises as `daily` and `Result.publish`."""
    from threadpoolctl import threadpool_limits

    from de_stack.defs.stocks.core.analysis_stationarity import stationarity

    series, version = daily(settings)
    with threadpool_limits(1):
        rows = stationarity(series)
    done = STATIONARITY.publish(settings, rows, version, context.run.run_id)
    verdicts = {
        r["stock_name"]: r["verdict"] or r["reason"] for r in rows if r["series"] == "close"
    }
    return dg.MaterializeResult(
        metadata={**told(done), "closes": dg.MetadataValue.json(verdicts)},
        check_results=[every_stock(STATIONARITY, series, rows)],
    )


class Decomposing(dg.Config):
    """What a run may choose; sensors take the default."""

    period: int = Field(
        Parameters().period, ge=2, le=366, description="Length of a season in trading days."
    )


@dg.asset(
    **shared(TICKS, DECOMPOSITION),
    description=DECOMPOSITION.description,
    deps=[DAILY_KEY],
    check_specs=[
        every_stock_spec(DECOMPOSITION),
        dg.AssetCheckSpec(
            "parts_make_the_close",
            asset=key_of(DECOMPOSITION),
            description="Trend, season and rest give the close again wherever there is a trend.",
        ),
    ],
)
def gold_decomposition(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], config: Decomposing
) -> dg.MaterializeResult:
    """Raises as `daily` and `Result.publish`."""
    from de_stack.defs.stocks.core.analysis_decomposition import decomposition, not_recombined

    series, version = daily(settings)
    rows = decomposition(series, Parameters(period=config.period))
    done = DECOMPOSITION.publish(settings, rows, version, context.run.run_id)
    wrong = not_recombined(rows)
    parts = dg.AssetCheckResult(
        check_name="parts_make_the_close",
        passed=not wrong,
        metadata={"rows": len(rows), "wrong": dg.MetadataValue.json(wrong[:_MOST_SHOWN])},
    )
    return dg.MaterializeResult(
        metadata={**told(done), "period": config.period},
        check_results=[every_stock(DECOMPOSITION, series, rows), parts],
    )
