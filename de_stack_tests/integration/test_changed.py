"""`de-stack changed`: what a branch changes, made from samples by `dagster asset materialize`.

Belongs here: a checkout of its own under git, on the session's services. Does not belong here:
which file reaches what (`unit/test_changes.py`).
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from de_stack.settings import Settings
from de_stack_tests.integration.checkouts import copied, run
from de_stack_tests.integration.pipeline import serving

DE_STACK = str(Path(sys.executable).with_name("de-stack"))
ADDRESSES = ("kafka_bootstrap", "ledger_dsn", "serving_dsn", "spark_remote")
DAYS = 60
# Every seventh day has no measure: a field that may be missing.
ROWS = "day,site,kilowatts\n" + "".join(
    f"2024-{1 + i // 28:02}-{1 + i % 28:02},{'ab'[i % 2]},{'' if i % 7 == 3 else i}\n"
    for i in range(DAYS)
)
MART = {"mart_daily_meters", "published_mart_daily_meters"}
STATS = {"stats_meters", "maintained_stats_meters", "published_stats_meters"}
SILVER = {"silver_meters", "maintained_silver_meters", *STATS, *MART}
MARTS = {"mart_daily_metrics", "published_mart_daily_metrics"}
METERS = {"bronze_meters", "maintained_bronze_meters", "dead_meters", *SILVER}


def git(root: Path, *words: str) -> None:
    person = ("-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false")
    subprocess.run(["git", *person, *words], cwd=root, check=True, capture_output=True)


@pytest.fixture
def checkout(stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:  # noqa: ANN001
    """A copy under git; in profile external, for dbt's warehouse is one process's at a time."""
    own = {name: stack.need(name) for name in ADDRESSES} | {"profile": "external"}
    own |= {name: str(tmp_path / name) for name in ("home", "lake_uri", "warehouse_path")}
    for name, value in own.items():
        monkeypatch.setenv(f"DE_STACK_{name.upper()}", value)
    root = copied(tmp_path / "checkout")
    git(root, "init", "-q", "-b", "main")
    git(root, "add", "-A")
    git(root, "commit", "-q", "-m", "as it was")
    return root


def changed(root: Path, *words: str, code: int = 0) -> dict[str, Any]:
    done = run(root, DE_STACK, "changed", "--json", *words)
    assert done.returncode == code, done.stdout[-2000:] + done.stderr[-4000:]
    return json.loads(done.stdout)


def names(told: dict[str, Any]) -> set[str]:
    return {name.removeprefix("power/") for name in told["assets"]}


def test_a_new_stream_on_a_branch_is_found_and_its_sample_reaches_postgres(
    checkout: Path, tmp_path: Path
) -> None:
    assert changed(checkout)["files"] == []
    file = tmp_path / "meters.csv"
    file.write_text(ROWS)
    git(checkout, "switch", "-q", "-c", "branch")
    made = run(checkout, DE_STACK, "new", "stream", "power.meters", "--from", str(file))
    assert made.returncode == 0, made.stderr
    assert names(changed(checkout)) == METERS, "new files that are not committed"
    git(checkout, "add", "-A")
    git(checkout, "commit", "-q", "-m", "power")
    assert changed(checkout)["assets"] == []
    assert names(changed(checkout, "--since", "main")) == METERS

    ran = changed(checkout, "--since", "main", "--run")["run"]
    assert ran["ok"] and ran["failure"] is None
    assert {asset["asset"].removeprefix("power/") for asset in ran["assets"]} == METERS
    assert all(asset["changed"] for asset in ran["assets"])
    rows = {asset["asset"].removeprefix("power/"): asset["rows"] for asset in ran["assets"]}
    assert rows["bronze_meters"] == rows["silver_meters"] == DAYS
    assert rows["mart_daily_meters"] == DAYS and rows["dead_meters"] == 0
    typed = [command["command"] for command in ran["commands"]]
    assert typed[0] == "de-stack init" and typed[1].startswith("de-stack replay power.meters ")
    assert all(text.startswith("dagster asset materialize -m ") for text in typed[2:])
    assert [command["exit_code"] for command in ran["commands"]] == [0] * len(typed)
    # It is there, in a namespace of its own.
    schema = Settings(namespace=ran["namespace"]).names.schema("power")
    assert schema == f"{ran['namespace']}_power" and ran["namespace"].startswith("ci_")
    sql = f"select sum(count), sum(kilowatts_count) from {schema}.stats_meters"
    assert serving(Settings(), sql) == [(DAYS, sum(i % 7 != 3 for i in range(DAYS)))]
    assert serving(Settings(), f"select count(*) from {schema}.mart_daily_meters") == [(DAYS,)]

    # One model of dbt: that mart and what is below it.
    mart = checkout / "dbt_project/models/power/marts/mart_daily_meters.sql"
    mart.write_text(f"{mart.read_text()}\n-- another word\n")
    told = changed(checkout)
    assert names(told) == MART
    assert [one["path"] for one in told["files"]] == [str(mart.relative_to(checkout))]


def test_what_only_a_check_sees_fails_the_run(checkout: Path) -> None:
    """The command that materializes passes: a check of severity ERROR stops no run by itself."""
    rules = checkout / "de_stack/defs/telemetry/core/rules.py"
    text = rules.read_text()
    right = 'f.count("value").alias("count")'
    assert right in text
    rules.write_text(text.replace(right, 'f.lit(7).cast("bigint").alias("count")'))
    told = changed(checkout, "--run", code=1)
    ran = told["run"]
    assert {command["exit_code"] for command in ran["commands"]} == {0} and not ran["ok"]
    made = {asset["asset"].removeprefix("telemetry/"): asset for asset in ran["assets"]}
    assert made["stats_measures"]["checks"]["accounts_for_every_row"] == "failed"
    # What was only needed is made, too, and said to be no change.
    needed = {name for name, asset in made.items() if not asset["changed"]}
    assert needed == {"bronze_measures", "silver_measures"}
    assert made["silver_measures"]["checks"]["contract_holds"] == "passed"
    # The sample is old: a warning, and no reason to fail.
    assert made["silver_measures"]["checks"]["is_fresh"] == "warned"

    # Mended, and another change, in the same namespace: only what is made now counts.
    rules.write_text(text)
    mart = checkout / "dbt_project/models/telemetry/marts/mart_daily_metrics.sql"
    mart.write_text(f"{mart.read_text()}\n-- another word\n")
    ran = changed(checkout, "--run", "--namespace", ran["namespace"])["run"]
    rows = {asset["asset"].removeprefix("telemetry/"): asset["rows"] for asset in ran["assets"]}
    assert rows.keys() == {"bronze_measures", "silver_measures", *MARTS} and ran["ok"]
    # The sample came twice and is in silver once.
    assert (rows["bronze_measures"], rows["silver_measures"]) == (4000, 2000)


def test_a_sample_without_a_good_row_is_no_success(checkout: Path) -> None:
    words = "generate telemetry.measures --sink kafka --count 20 --rate 1000 --malformed 1"
    sample = checkout / "de_stack_tests/domains/telemetry/sample.yaml"
    sample.write_text(json.dumps([words.split()]))
    ran = changed(checkout, "--run", code=1)["run"]
    assert "no event period is pending: no good row has landed" in ran["failure"]
    assert [asset["rows"] for asset in ran["assets"]] == [20] and not ran["ok"]


def test_a_command_that_fails_ends_the_run_with_its_words(checkout: Path) -> None:
    rules = checkout / "de_stack/defs/tweets/core/rules.py"
    rules.write_text(rules.read_text() + "\n\ndef daily_summary(*_):\n    raise ValueError('no')\n")
    done = run(checkout, DE_STACK, "changed", "--run")
    assert done.returncode == 1
    assert "ValueError: no" in done.stderr, "the last words of the command"
    assert "exit code 1" in done.stdout and "FAILED" in done.stdout
    (typed,) = [line for line in done.stdout.splitlines() if line.startswith("dagster asset ")]
    assert "--partition-range 2021-12-30...2022-01-04" in typed
