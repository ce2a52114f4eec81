"""The dbt assets on a small Delta table: real dbt, DuckDB, delta-rs and a ledger; no Spark."""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import dagster as dg
import deltalake
import duckdb
import pandas as pd
import pyarrow as pa
import pytest

from de_stack.defs.dbt_models import dbt_models
from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.flow import commits
from de_stack.flow.ledger import Ledger
from de_stack.flow.ledger_schema import ensure_schema
from de_stack.flow.tables import place
from de_stack.resources import dbt, dbt_process, warehouse
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings

Row = tuple[str | None, str, datetime, float]
MART = dg.AssetKey(["telemetry", "mart_daily_metrics"])
# Of this process: another one may be at other tests of this module.
NAMESPACE = f"ns{os.getpid()}"
SCHEMA = f"{NAMESPACE}_telemetry"
COLUMNS = ["day", "source_id", "metric", "count", "min", "max", "mean", "p50"]
COLUMNS += ["first_measured_at", "last_measured_at"]
# One value per row: (source, metric, time, value). Two days meet at midnight UTC.
ROWS: list[Row] = [
    ("press-01", "power", datetime(2026, 3, 1, 0, 0, tzinfo=UTC), 1.0),
    ("press-01", "power", datetime(2026, 3, 1, 13, 30, tzinfo=UTC), 2.0),
    ("press-01", "power", datetime(2026, 3, 1, 23, 59, 59, 999999, tzinfo=UTC), 6.0),
    ("press-01", "power", datetime(2026, 3, 2, 0, 0, tzinfo=UTC), 7.0),
    ("press-01", "vibration", datetime(2026, 3, 1, 5, 0, tzinfo=UTC), -1.5),
    ("oven-01", "power", datetime(2026, 3, 1, 5, 0, tzinfo=UTC), 10.0),
    ("oven-01", "power", datetime(2026, 3, 1, 5, 0, tzinfo=UTC), 20.0),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def settings(
    stack: Settings, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Settings:
    """A lake of its own (with the marks that SQL and formatters trip over), a shared warehouse.

    What dbt parsed is kept for a warehouse, and parsing is what takes time here. So the namespace
    stays, and the ledger forgets what it knew of the lake before.
    """
    ledger_dsn = stack.need("ledger_dsn")
    monkeypatch.setenv("DE_STACK_PROFILE", "external")
    monkeypatch.setenv("TZ", "Australia/Sydney")
    settings = Settings(
        home=home,
        namespace=NAMESPACE,
        lake_uri=str(tmp_path / "it's a {lake}"),
        warehouse_path=home / "warehouse" / "w.duckdb",
        ledger_dsn=ledger_dsn,
    )
    ensure_schema(settings)
    with Postgres(settings, "ledger").transaction("forget in a test") as db:
        for table, column in (("applied", "consumer"), *_OF_TABLES):
            db.execute(f"delete from ledger.{table} where {column} like '{NAMESPACE}.%'".encode())
    return settings


_OF_TABLES = (("touched", "table_id"), ("commits", "table_id"))


def _add(settings: Settings, rows: Sequence[Row], *, ours: bool = True) -> None:
    """Append rows in silver's layout, as one commit that says what one of a refine says."""
    times = [t for _, _, t, _ in rows]
    hours = [t.replace(minute=0, second=0, microsecond=0) for t in times]
    zoned = pa.timestamp("us", tz="UTC")
    table = pa.table(
        {
            "event_id": [f"e{i}-{t.isoformat()}" for i, t in enumerate(times)],
            "event_hour": pa.array(hours, zoned),
            "event_date": [t.date() for t in times],
            "source_id": pa.array([s for s, *_ in rows], pa.string()),
            "metric": [m for _, m, *_ in rows],
            "value": [v for *_, v in rows],
            "measured_at": pa.array(times, zoned),
        }
    )
    uri = settings.names.lake_uri(settings.need("lake_uri"), "telemetry", "silver", "measures")
    said = {"first": min(hours).isoformat(), "last": max(hours).isoformat(), "source_version": 1}
    _, metadata = commits.envelope(
        "derive", "a test", source=f"{NAMESPACE}.telemetry.bronze_measures", **said
    )
    deltalake.write_deltalake(
        uri,
        table,
        mode="append",
        partition_by=["event_date"],
        commit_properties=deltalake.CommitProperties(custom_metadata={"userMetadata": metadata})
        if ours
        else None,
    )


def _materialize(settings: Settings, *, raise_on_error: bool = True) -> dg.ExecuteInProcessResult:
    # Other domains have tables of their own, and none of their sources is here.
    return dg.materialize(
        [dbt_models],
        selection=[MART],
        resources={"settings": settings},
        raise_on_error=raise_on_error,
    )


def _build(settings: Settings, *, works: bool = True) -> dg.ExecuteInProcessResult:
    result = _materialize(settings, raise_on_error=False)
    assert result.success == works
    return result


def _mart(settings: Settings) -> tuple[list[dict], dict[str, int]]:
    rows, versions = warehouse.read_table(settings, SCHEMA, "mart_daily_metrics", COLUMNS)
    return rows.to_pylist(), versions


def _expected(rows: Sequence[Row]) -> list[dict]:
    names = pd.Index(["source_id", "metric", "at", "value"])
    frame = pd.DataFrame(rows, columns=names)
    frame["day"] = frame["at"].dt.date
    groups = frame.groupby(["day", "source_id", "metric"])
    report = groups.agg(
        count=("value", "size"),
        min=("value", "min"),
        max=("value", "max"),
        mean=("value", "mean"),
        p50=("value", "median"),
        first_measured_at=("at", "min"),
        last_measured_at=("at", "max"),
    )
    return [dict(zip(COLUMNS, row, strict=True)) for row in report.reset_index().to_numpy()]


def test_the_mart_is_what_pandas_computes_of_a_version_and_a_late_row_changes_its_day_only(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    _add(settings, ROWS)
    first = _build(settings)
    mart, versions = _mart(settings)
    assert mart == _expected(ROWS)
    assert versions == {"telemetry.silver_measures": 0}
    by_hand = {"day": date(2026, 3, 1), "source_id": "press-01", "metric": "power", "count": 3}
    assert by_hand.items() <= mart[1].items()
    assert (mart[1]["min"], mart[1]["max"], mart[1]["mean"], mart[1]["p50"]) == (1, 6, 3, 2)

    (event,) = first.get_asset_materialization_events()
    assert event.asset_key == MART
    metadata = event.materialization.metadata
    assert metadata["dagster/row_count"].value == len(mart)
    assert metadata["silver_measures_version"].value == 0
    checks = first.get_asset_check_evaluations()
    assert {c.asset_key for c in checks} == {MART}
    assert {c.check_name for c in checks} == {
        s.name for s in dbt_models.check_specs if s.asset_key == MART
    }
    assert all(c.passed for c in checks)

    late: Row = ("press-01", "power", datetime(2026, 3, 1, 1, 0, tzinfo=UTC), 100.0)
    _add(settings, [late])
    _build(settings)
    second, versions = _mart(settings)
    assert second == _expected([*ROWS, late])
    assert versions == {"telemetry.silver_measures": 1}
    changed = [new for old, new in zip(mart, second, strict=True) if old != new]
    assert [(c["day"], c["source_id"], c["count"]) for c in changed] == [
        (date(2026, 3, 1), "press-01", 4)
    ]

    # The table of today as it was at the first build: the version is pinned, not the newest taken.
    monkeypatch.setattr(commits, "reconcile", lambda *_: 0)
    _build(settings)
    assert _mart(settings) == (mart, {"telemetry.silver_measures": 0})
    # What a run leaves: dbt's memory and its log, no run folders, and nobody at the file.
    assert {p.name for p in (settings.home / "dbt").iterdir()} == {
        "partial_parse.msgpack",
        "dbt.log",
    }
    warehouse.wait_until_free(settings, deadline_s=0)


def test_rows_that_break_the_contract_fail_a_check_and_the_run_and_leave_the_mart(
    settings: Settings,
) -> None:
    with duckdb.connect(str(warehouse.wait_until_free(settings))) as connection:
        connection.execute(f"create schema if not exists {SCHEMA}")
        connection.execute(f"create or replace table {SCHEMA}.mart_daily_metrics as select 1")
    _add(settings, [*ROWS, (None, "power", datetime(2026, 3, 1, tzinfo=UTC), 1.0)])
    result = _build(settings, works=False)
    failed = [c for c in result.get_asset_check_evaluations() if not c.passed]
    assert [c.check_name for c in failed] == ["source_not_null_telemetry_silver_measures_source_id"]
    assert failed[0].metadata["wrong_rows"].value == 1
    assert not result.get_asset_materialization_events()
    assert warehouse.count(settings, SCHEMA, "mart_daily_metrics") == 1
    (step,) = result.get_step_failure_events()
    assert "source_not_null_telemetry_silver_measures_source_id" in str(step.event_specific_data)


def test_silver_that_the_ledger_does_not_know_is_refused_before_dbt_starts(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The naive way read the newest version of whatever lay there, and published it."""
    monkeypatch.setattr(dbt_process, "run", None)
    _add(settings, ROWS)
    _add(settings, ROWS, ours=False)
    with pytest.raises(PermanentFailure, match=r"version 1 .* was not written by de_stack"):
        _materialize(settings)
    uri = settings.names.lake_uri(settings.need("lake_uri"), "telemetry", "silver", "measures")
    newest = Path(uri) / "_delta_log" / f"{1:020d}.json"
    newest.unlink()
    commits.reconcile(Lake(settings), Ledger(settings), place(settings, "telemetry", _SILVER))
    # Known to the ledger by now; then somebody brings an older copy of the folder back.
    _add(settings, ROWS)
    commits.reconcile(Lake(settings), Ledger(settings), place(settings, "telemetry", _SILVER))
    newest.unlink()
    with pytest.raises(PermanentFailure, match=r"knows version 1, the log .* ends at 0"):
        _materialize(settings)


_SILVER = "silver_measures"


def test_without_silver_the_run_says_what_to_materialize_and_does_not_start_dbt(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbt_process, "run", None)
    with pytest.raises(PermanentFailure, match="materialize telemetry/silver_measures first"):
        _materialize(settings)


@pytest.fixture
def holder(settings: Settings) -> Iterator[subprocess.Popen[str]]:
    """Another process that has the warehouse open for writing."""
    path = Path(settings.need("warehouse_path"))
    path.parent.mkdir(parents=True, exist_ok=True)
    code = f"import duckdb; c = duckdb.connect({str(path)!r}); print('open', flush=True); input()"
    command = [sys.executable, "-c", code]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        yield process
        process.kill()


def test_a_warehouse_that_somebody_holds_is_a_failure_that_names_who_and_what_to_do(
    settings: Settings, holder: subprocess.Popen[str]
) -> None:
    who = rf"lock is held in .* \(PID {holder.pid}\).*retry can help.*close the program"
    with pytest.raises(TransientFailure, match=who):
        warehouse.read_arrow(settings, "select 1", deadline_s=0.1)
    with pytest.raises(TransientFailure, match=who):
        warehouse.wait_until_free(settings, deadline_s=0.1)


def test_dbt_that_finds_the_warehouse_held_after_all_says_the_same(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "IO Error: Could not set lock on file: Conflicting lock is held in x (PID 7). However"
    monkeypatch.setattr(dbt_process, "run", lambda *_, **__: dbt_process.Said(2, said))
    with pytest.raises(TransientFailure, match=r"PID 7\)"):
        dbt_process.execute(settings, ["build"], {}, dbt.PROJECT)


def test_dbt_that_is_killed_or_has_no_room_is_tried_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dbt_process, "_START", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(TransientFailure, match="exit code -9"):
        dbt_process.execute(settings, ["build"], {}, dbt.PROJECT)
    monkeypatch.setattr(dbt_process, "_START", "raise SystemExit('Compilation Error')")
    with pytest.raises(PermanentFailure, match="exit code 1"):
        dbt_process.execute(settings, ["build"], {}, dbt.PROJECT)
    said = "1 of 2: model.x: error Out of Memory Error: failed to allocate data of size 2 MiB"
    assert dbt_process.failure("run dbt", said).can_retry_help


def test_two_runs_do_not_choose_versions_and_build_across_each_other(settings: Settings) -> None:
    _add(settings, ROWS)
    name = f"warehouse {settings.need('warehouse_path')}"
    with Postgres(settings, "ledger").lock(name, "hold in a test", "somebody"):
        result = _build(settings, works=False)
    (failed,) = (event for event in result.all_events if event.is_step_failure)
    assert "somebody is at it" in str(failed.step_failure_data.error)
    _build(settings)


def test_a_run_removes_what_killed_runs_left_and_nothing_else(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, now = settings.home / "dbt", time.time()
    ages = {"run-killed": 7300, "run-goes-on": 7100, "kept": 7300}
    for name, age_s in ages.items():
        (folder / name / "below").mkdir(parents=True)
        os.utime(folder / name, (now - age_s, now - age_s))

    def nothing(_arguments: Sequence[str], _values: object, target: Path, *_: object, **__: object):
        (target / "run_results.json").write_text('{"results": []}')
        return dbt_process.Said(0, "")

    monkeypatch.setattr(dbt_process, "run", nothing)
    assert dbt_process.execute(settings, ["build"], {}, dbt.PROJECT) == []
    left = {path.name for path in folder.iterdir() if path.is_dir()}
    assert left == {"run-goes-on", "kept"}
    for name in left:
        shutil.rmtree(folder / name)


def test_the_unit_tests_of_the_models_pass(settings: Settings) -> None:
    selected = ["stg_telemetry__measures", "mart_daily_metrics"]
    arguments = ["build", "--empty", "--select", *selected, "--exclude-resource-type", "test"]
    # An empty build needs silver's columns, so there must be a silver.
    _add(settings, ROWS)
    uri = settings.names.lake_uri(settings.need("lake_uri"), "telemetry", "silver", "measures")
    place = ("DE_STACK_DBT_TELEMETRY_SILVER_MEASURES", uri, 0)
    values = dbt_process.environment(settings, {"telemetry.silver_measures": place})
    results = dbt_process.execute(settings, arguments, values, dbt.PROJECT)
    tested = [r for r in results if r.unique_id.startswith("unit_test.")]
    assert tested
    assert all(r.ok for r in results), results


def test_a_child_does_not_outlive_an_interrupted_run() -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    seen: list[subprocess.Popen[str]] = []

    def interrupted() -> None:
        with dbt_process._child(command, {}) as process:
            seen.append(process)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert seen[0].poll() is not None
