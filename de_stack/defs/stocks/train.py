"""gold_ohlcv_1d -> forecasts of the close, how good they were on the past, what-if.

Belongs here: the assets, their checks and the picture. Does not belong here: the arithmetic
(`core/analysis_*.py`), statistics of the past (`analyse.py`), what the tables say
(docs/analysis.md).
"""

import base64
from collections.abc import Iterator, Sequence
from typing import Annotated

import dagster as dg
from pydantic import Field

from de_stack.contracts import load_stream
from de_stack.defs.stocks.analyse import DAILY_KEY, daily, every_stock, every_stock_spec
from de_stack.defs.stocks.core import analysis_schema as schema
from de_stack.defs.stocks.core.analysis import Parameters, Row, Series
from de_stack.flow.results import Result
from de_stack.orchestration.results import key_of, shared, told
from de_stack.settings import Settings

TICKS = load_stream("stocks.ticks")
BACKTEST = Result(
    "stocks",
    "model",
    "backtest",
    schema.BACKTEST,
    schema.BACKTEST_KEY,
    "How far forecasts of the close were off on the past, per stock and model, beside the naive "
    "forecast: the last close. The earlier half of the days chooses a model, the later judges it.",
)
PREDICTIONS = Result(
    "stocks",
    "predictions",
    "close",
    schema.PREDICTIONS,
    schema.PREDICTIONS_KEY,
    "The next trading days' closes by every model, with 95 % intervals; which one the back-test "
    "chose, and whether it beats the last close.",
)
WHAT_IF = Result(
    "stocks",
    "predictions",
    "what_if",
    schema.WHAT_IF,
    schema.WHAT_IF_KEY,
    "What the chosen model would forecast, and what the day's return would be, had the last close "
    "been higher or lower by some dollars.",
)
RESULTS = (BACKTEST, PREDICTIONS, WHAT_IF)
_DEFAULT = Parameters()


class Training(dg.Config):
    """What a run may choose; sensors take the defaults."""

    horizon: int = Field(
        _DEFAULT.horizon, ge=1, le=60, description="Trading days that are forecast."
    )
    origins: int = Field(
        _DEFAULT.origins, ge=4, le=250, description="Days to forecast from, in each half."
    )
    changes: list[Annotated[float, Field(allow_inf_nan=False)]] = Field(
        list(_DEFAULT.changes), description="By how much the last close is moved, one by one."
    )


@dg.multi_asset(
    specs=[
        dg.AssetSpec(
            **shared(TICKS, result),
            description=result.description,
            deps=[DAILY_KEY],
        )
        for result in RESULTS
    ],
    check_specs=[
        *(every_stock_spec(result) for result in RESULTS),
        dg.AssetCheckSpec(
            "beats_naive",
            asset=key_of(PREDICTIONS),
            description="The chosen model's error on the past is smaller than that of the last "
            "close, and by more than chance. A warning: daily prices rarely allow it.",
        ),
    ],
    can_subset=False,
)
def forecasts(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings], config: Training
) -> Iterator[dg.MaterializeResult]:
    """One reading of the daily table, one back-test: what it chooses is what forecasts.

    Raises:
        TransientFailure: Postgres was away.
        PermanentFailure: the daily table was not published yet.
    """
    from threadpoolctl import threadpool_limits

    from de_stack.defs.stocks.core import analysis_backtest, analysis_predict

    parameters = Parameters(
        horizon=config.horizon,
        origins=config.origins,
        changes=tuple(dict.fromkeys(config.changes)),
    )
    chosen: dict[str, dg.RawMetadataValue] = {"horizon": config.horizon, "origins": config.origins}
    chosen["changes"] = dg.MetadataValue.json(list(parameters.changes))
    series, version = daily(settings)
    # Models of a few parameters: more threads only cost processor time.
    with threadpool_limits(1):
        tested = analysis_backtest.backtest(series, parameters)
        predicted = analysis_predict.predictions(series, tested, parameters)
        moved = analysis_predict.what_if(series, tested, parameters)
    not_better = analysis_backtest.not_better(tested)
    warning = dg.AssetCheckResult(
        asset_key=key_of(PREDICTIONS),
        check_name="beats_naive",
        passed=not not_better,
        severity=dg.AssetCheckSeverity.WARN,
        metadata={
            "stocks": len(series),
            "beaten": len(series) - len(not_better),
            "not_beaten": dg.MetadataValue.json(not_better),
        },
    )
    for result, rows in ((BACKTEST, tested), (PREDICTIONS, predicted), (WHAT_IF, moved)):
        done = result.publish(settings, rows, version, context.run.run_id)
        checks = [every_stock(result, series, rows)]
        metadata: dict[str, dg.RawMetadataValue] = {**told(done), **chosen}
        if result is BACKTEST:
            metadata["errors"] = dg.MetadataValue.json(analysis_backtest.errors(tested))
        if result is PREDICTIONS:
            checks.append(warning)
            metadata["plot"] = _picture(series, rows)
        yield dg.MaterializeResult(
            asset_key=key_of(result), metadata=metadata, check_results=checks
        )


def _picture(series: Sequence[Series], rows: Sequence[Row]) -> dg.MetadataValue:
    from de_stack.defs.stocks.core.analysis_plot import plot

    png = base64.b64encode(plot(series, rows)).decode()
    return dg.MetadataValue.md(f"![closes and forecasts](data:image/png;base64,{png})")
