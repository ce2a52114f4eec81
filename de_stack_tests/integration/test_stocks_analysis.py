"""The analysis of closes on a real Postgres: from the daily table that is published there to its
own tables, with versions, checks that fail when they should, and the sensor."""

import base64
from datetime import date
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from de_stack.defs.stocks import analyse, train, watch
from de_stack.failures import PermanentFailure
from de_stack.flow.publish import publish
from de_stack.flow.results import read_published
from de_stack.flow.serving import ServingTable
from de_stack.orchestration.results import key_of
from de_stack.settings import Settings
from de_stack_tests.domains.stocks.closes import noise, real, rows_of, walk
from de_stack_tests.integration.pipeline import serving
from de_stack_tests.integration.test_sensors import tick

RESULTS = (*analyse.RESULTS, *train.RESULTS)
ASSETS = [analyse.stats_stationarity, analyse.gold_decomposition, train.forecasts]
FEW = {"forecasts": {"config": {"origins": 6, "changes": [-1000.0, 2.0, 2.0]}}}


def publish_daily(settings: Settings, rows: list[dict[str, Any]], version: int) -> None:
    """What the copy of the daily table does, of these rows."""
    columns = (("stock_name", "text", ""), ("day", "date", ""), ("close", "double precision", ""))
    names = settings.names
    table = ServingTable(names.schema("stocks"), analyse.DAILY, columns, ("stock_name", "day"))
    schema = pa.schema([("stock_name", pa.string()), ("day", pa.date32()), ("close", pa.float64())])
    consumer = names.table_id("stocks", "published", analyse.DAILY)
    publish(settings, table, pa.Table.from_pylist(rows, schema), consumer, version, "r")


def run(settings: Settings, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
    return dg.materialize(
        ASSETS,
        resources={"settings": settings},
        run_config={"ops": FEW},
        raise_on_error=raise_on_error,
    )


def checks(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    return {
        f"{e.asset_key.path[1]} {e.check_name}": e for e in result.get_asset_check_evaluations()
    }


def held(settings: Settings, result: str, columns: str) -> list[tuple[Any, ...]]:
    return serving(settings, f"select {columns} from {settings.names.schema('stocks')}.{result}")


def test_all_tables_follow_the_daily_one_with_its_version_and_say_what_they_found(
    settings: Settings,
) -> None:
    daily = real("AAPL") + rows_of("SHORT", walk(1)[:20])
    daily += [{"stock_name": "EMPTY", "day": date(2017, 12, 29), "close": None}]
    publish_daily(settings, daily, 7)
    result = run(settings)
    found = checks(result)
    assert len(found) == len(RESULTS) + 2
    passed = {name: e.passed for name, e in found.items()}
    assert passed.pop("predictions_close beats_naive") is False
    assert all(passed.values())
    warned = found["predictions_close beats_naive"]
    assert warned.severity == dg.AssetCheckSeverity.WARN
    not_beaten = warned.metadata["not_beaten"].value
    assert len(not_beaten) == 3 and not_beaten[0].startswith("AAPL: ")
    assert ": MAE " in not_beaten[0] or "no model" in not_beaten[0]
    without = found["model_backtest accounts_for_every_stock"].metadata["without_figures"].value
    assert without.keys() == {"SHORT", "EMPTY"}

    for one in RESULTS:
        stocks = {row[0] for row in held(settings, one.name, "distinct stock_name")}
        assert stocks == {"AAPL", "SHORT", "EMPTY"}
        applied = "select source_version from de_stack.applied where consumer = '{}'"
        assert serving(settings, applied.format(one.consumer(settings))) == [(7,)]
    verdicts = dict(
        held(
            settings, "stats_stationarity", "stock_name || ' ' || series, coalesce(verdict, reason)"
        )
    )
    assert verdicts["AAPL close"] == "unit root" and verdicts["AAPL difference"] == "stationary"
    assert verdicts["SHORT close"].startswith("too short")
    [(off, rows)] = held(
        settings,
        "gold_decomposition where stock_name = 'AAPL' and model = 'multiplicative' "
        "and trend is not null",
        "max(abs(trend * seasonal * residual - observed)), count(*)",
    )
    assert off < 1e-9 and rows == len(real("AAPL")) - 4
    assert held(
        settings,
        "predictions_what_if where stock_name = 'AAPL' and change < 0 and step = 1",
        "reason, last_close_if",
    ) == [("the moved close is not above zero", pytest.approx(169.23 - 1000))]


def test_the_picture_is_in_the_materialization(settings: Settings) -> None:
    publish_daily(settings, real("YHOO"), 1)
    made = run(settings).asset_materializations_for_node("forecasts")
    [picture] = [m.metadata["plot"].value for m in made if "plot" in m.metadata]
    assert isinstance(picture, str)
    text = picture.removeprefix("![closes and forecasts](data:image/png;base64,").removesuffix(")")
    assert base64.b64decode(text, validate=True).startswith(b"\x89PNG")
    [of_model] = [m.metadata for m in made if m.asset_key == key_of(train.BACKTEST)]
    assert (of_model["source_version"].value, of_model["origins"].value) == (1, 6)


def test_the_warning_is_gone_where_the_model_does_beat_the_last_close(settings: Settings) -> None:
    publish_daily(settings, rows_of("N", noise(1)), 1)
    result = dg.materialize([train.forecasts], resources={"settings": settings})
    warned = checks(result)["predictions_close beats_naive"]
    assert warned.passed and warned.metadata["beaten"].value == 1


def test_tables_never_go_back_and_vanish_with_their_stocks(settings: Settings) -> None:
    publish_daily(settings, rows_of("A", walk(1)) + rows_of("B", walk(2)), 5)
    stationarity = analyse.STATIONARITY
    dg.materialize([analyse.stats_stationarity], resources={"settings": settings})
    rows = held(settings, stationarity.name, "*")
    behind = stationarity.publish(settings, [], 4, "r")
    assert behind.skipped == 1 and held(settings, stationarity.name, "*") == rows
    publish_daily(settings, rows_of("B", walk(2)), 6)
    dg.materialize([analyse.stats_stationarity], resources={"settings": settings})
    assert {r[0] for r in held(settings, stationarity.name, "stock_name")} == {"B"}


def test_a_daily_table_that_is_not_there_is_refused_with_what_to_do(settings: Settings) -> None:
    with pytest.raises(PermanentFailure, match="it was not published yet"):
        read_published(settings, "stocks", analyse.DAILY, ["close"])
    publish_daily(settings, rows_of("A", walk(1)), 1)
    rows, version = read_published(settings, "stocks", analyse.DAILY, ["stock_name", "close"])
    assert version == 1 and [r["close"] for r in rows] == walk(1)


def test_the_sensor_asks_for_all_results_once_per_version(settings: Settings) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        said = tick(watch.analysis, settings, instance)
        assert said == f"stocks.{analyse.DAILY} was not published yet"
        publish_daily(settings, rows_of("A", walk(1)[:30]), 1)
        request = tick(watch.analysis, settings, instance)
        assert isinstance(request, dg.RunRequest)
        assert set(request.asset_selection or []) == {key_of(one) for one in RESULTS}
        run(settings)
        assert tick(watch.analysis, settings, instance) == "the source has not changed"
        publish_daily(settings, rows_of("A", walk(1)[:31]), 2)
        assert isinstance(tick(watch.analysis, settings, instance), dg.RunRequest)
