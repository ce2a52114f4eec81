"""`dagster asset materialize` as CI types it, in profile external, on somebody else's systems."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psutil
import pytest

from de_stack import partitions
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import measure, produce, serving

BIN = Path(sys.executable).parent
ADDRESSES = ("kafka_bootstrap", "ledger_dsn", "serving_dsn", "dagster_dsn", "spark_remote")


@pytest.fixture
def external(stack, tmp_path, monkeypatch, request) -> dict[str, str]:  # noqa: ANN001
    """Environment of a user who has the systems and no stack: addresses, namespace, no state."""
    monkeypatch.setenv("DE_STACK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DE_STACK_PROFILE", "external")
    # One ledger, and a lake for each test: the same tables in another lake would be refused.
    name = "ext" + str(abs(hash(request.node.name)) % 10**6)
    monkeypatch.setenv("DE_STACK_NAMESPACE", name)
    for name in ADDRESSES:
        monkeypatch.setenv(f"DE_STACK_{name.upper()}", stack.need(name))
    monkeypatch.setenv("DE_STACK_LAKE_URI", str(tmp_path / "lake"))
    monkeypatch.setenv("DE_STACK_WAREHOUSE_PATH", str(tmp_path / "warehouse.duckdb"))
    monkeypatch.setenv("DE_STACK_MARK", str(tmp_path))
    return dict(os.environ)


def run(env: dict[str, str], *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]], env=env, capture_output=True, text=True, timeout=180
    )


def materialize(env: dict[str, str], assets: list[str], partition: str | None = None) -> str:
    select = " or ".join(f'key:"telemetry/{name}"' for name in assets)
    command = ["dagster", "asset", "materialize", "-m", "de_stack.definitions", "--select", select]
    done = run(env, *command, *(["--partition", partition] if partition else []))
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stderr


def left_behind(mark: str) -> list[str]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("DE_STACK_MARK") == mark and process.pid != os.getpid():
                found.append(" ".join(process.cmdline()))
        except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
            continue
    return found


def test_every_asset_materializes_by_settings_alone_and_leaves_no_process(
    external, tmp_path
) -> None:
    assert run(external, "de-stack", "init").returncode == 0
    settings = Settings()
    hour = partitions.floor(datetime.now(UTC), "hour") - timedelta(hours=1)
    produce(settings, [measure("a", float(i), hour + timedelta(seconds=i)) for i in range(100)])

    now, then = (partitions.key(h, "hour") for h in (hour + timedelta(hours=1), hour))
    materialize(external, ["bronze_measures"], now)
    materialize(external, ["silver_measures", "stats_measures", "published_stats_measures"], then)
    materialize(external, ["mart_daily_metrics", "published_mart_daily_metrics"])

    schema = settings.names.schema("telemetry")
    assert serving(settings, f"select sum(count) from {schema}.stats_measures") == [(100,)]
    (count,) = serving(settings, f"select * from {schema}.mart_daily_metrics")
    assert 100 in count
    assert not (tmp_path / "home" / "state.json").exists(), "profile external started something"
    assert not left_behind(external["DE_STACK_MARK"])


def test_a_failed_materialization_exits_non_zero_and_says_what_to_do(external) -> None:
    external["DE_STACK_SPARK_REMOTE"] = "sc://127.0.0.1:1"
    assert run(external, "de-stack", "init").returncode == 0
    produce(Settings(), [measure("a", 1.0, datetime.now(UTC))])
    now = partitions.key(partitions.floor(datetime.now(UTC), "hour"), "hour")
    done = run(
        external,
        *("dagster", "asset", "materialize", "-m", "de_stack.definitions"),
        *("--select", 'key:"telemetry/bronze_measures"', "--partition", now),
    )
    assert done.returncode != 0
    assert "reach Spark at sc://127.0.0.1:1" in done.stderr + done.stdout
    assert "a retry can help" in done.stderr + done.stdout
    assert not left_behind(external["DE_STACK_MARK"])


def test_up_refuses_in_profile_external(external) -> None:
    done = run(external, "de-stack", "up")
    assert done.returncode == 1
    assert "external" in done.stderr
