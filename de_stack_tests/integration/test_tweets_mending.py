"""Tables of tweets that are compacted, damaged, lost or cut off, on real services."""

from __future__ import annotations

import shutil
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import typer
from typer.testing import CliRunner

from de_stack.cli import rebuild, repair
from de_stack.defs.tweets import maintain, serve, verify
from de_stack.failures import PermanentFailure
from de_stack.flow.day_files import bronze
from de_stack.local import stack
from de_stack.resources.lake import Lake
from de_stack_tests.integration.pipeline import session
from de_stack_tests.integration.test_asset_checks import lose_rows
from de_stack_tests.integration.tweeting import (
    SAMPLE,
    TWEETS,
    agreed,
    bring,
    computed,
    derive_pending,
    pending,
    published,
    rows_of,
)


def test_maintenance_changes_no_row_and_a_summary_that_lost_some_is_found(
    settings, spark, tmp_path
) -> None:
    bring(settings, *SAMPLE)
    derive_pending(settings, spark)
    before = rows_of(settings), published(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        for asset in maintain.MAINTAINED:
            assert dg.materialize([asset], resources={"settings": settings}, instance=instance)
    assert (rows_of(settings), published(settings)) == before
    # Files of several days' loads are one now: a load takes its own rows out of it.
    changed = tmp_path / SAMPLE[2].name
    changed.write_bytes(b"\n".join(SAMPLE[2].read_bytes().split(b"\n")[:1]) + b"\n")
    (done,) = bring(settings, changed)
    assert (done.outcome, done.rows) == ("replaced", 0)
    assert rows_of(settings) == [row for row in before[0] if row["file"] != changed.name]
    assert "2022-01-02" in done.reached
    settled = 6 - len(pending(settings))
    assert settled >= 2
    assert verify.differences(settings, None) == (settled, {})
    agreed(settings)
    lose_rows(settings, serve.DAILY_SUMMARY.table(settings))
    found, wrong = verify.differences(settings, None)
    assert found == len(wrong) == settled


def typed(command: Any, *words: str) -> str:
    app = typer.Typer()
    command.register(app)
    result = CliRunner().invoke(app, list(words), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_a_summary_whose_folder_is_gone_is_made_anew(settings, spark, monkeypatch) -> None:
    (settings.home / "dagster").mkdir(exist_ok=True)
    bring(settings, *SAMPLE)
    derive_pending(settings, spark)
    expected = computed(SAMPLE)
    table = serve.DAILY_SUMMARY.table(settings)
    version = Lake(settings).version(table.uri)
    assert version is not None
    shutil.rmtree(table.uri)
    with dg.DagsterInstance.ephemeral() as instance:
        monkeypatch.setattr(dg.DagsterInstance, "get", lambda: nullcontext(instance))
        said = typed(rebuild, "tweets.tweets")
    assert f"made anew at version {version + 1}" in said
    assert "tweets/published_gold_renames 2021-12-30..2022-01-04" in said
    assert published(settings) == expected
    assert verify.differences(settings, None) == (6, {})
    agreed(settings)


# Spark is restarted.
@pytest.mark.alone
def test_a_load_that_was_cut_off_is_named_and_brought_again(settings, spark, monkeypatch) -> None:
    bring(settings, *SAMPLE)
    derive_pending(settings, spark)
    table = bronze(settings, TWEETS)
    newest = Lake(settings).version(table.uri)
    commit = Path(table.uri) / "_delta_log" / f"{newest:020}.json"
    commit.write_bytes(commit.read_bytes()[:100])
    with pytest.raises(PermanentFailure, match="read (commit|the log)"):
        bring(settings, SAMPLE[0])
    with monkeypatch.context() as elsewhere:
        # In profile embedded the command restarts Spark itself: `up` would remember our namespace.
        elsewhere.setenv("DE_STACK_PROFILE", "external")
        for name in ("kafka_bootstrap", "ledger_dsn", "serving_dsn", "spark_remote", "lake_uri"):
            elsewhere.setenv(f"DE_STACK_{name.upper()}", settings.need(name))
        said = typed(repair, "tweets/bronze_tweets")
    assert "restart Spark before the next run" in said
    # The session would be the dead server's.
    spark().stop()
    with monkeypatch.context() as shared:
        shared.delenv("DE_STACK_NAMESPACE")
        stack.restart(["spark"])
    assert f"`de-stack load tweets` again what you loaded last: {SAMPLE[-1].name}" in said
    assert [d.outcome for d in bring(settings, *SAMPLE)] == [
        *["unchanged"] * (len(SAMPLE) - 1),
        "loaded",
    ]
    derive_pending(settings, session(settings))
    assert pending(settings) == []
    assert published(settings) == computed(SAMPLE)
    agreed(settings)
