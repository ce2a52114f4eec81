"""`de-stack load tweets`, and what Dagster makes of it, on real services."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import typer
from typer.testing import CliRunner

from de_stack.cli import load as command
from de_stack.defs.tweets import verify
from de_stack.settings import Settings
from de_stack_tests.integration.tweeting import SAMPLE, bring, computed, published


def typed(*words: str) -> Any:
    app = typer.Typer()
    command.register(app)
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def test_the_command_tells_dagster_which_days_are_there(settings, monkeypatch, tmp_path) -> None:
    key = dg.AssetKey(["tweets", "bronze_tweets"])
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    # One whose process was killed before it could say so.
    bring(settings, SAMPLE[0])
    monkeypatch.setattr(command, "_dagster_home", lambda _settings: str(tmp_path))
    assert typed("tweets", str(SAMPLE[2]), str(SAMPLE[4])).exit_code == 0
    with dg.DagsterInstance.get() as instance:
        # The last file also has rows of the day before.
        assert instance.get_materialized_partitions(key) == {
            *("2021-12-30", "2022-01-01", "2022-01-02", "2022-01-03")
        }
    shown = typed("tweets", *map(str, SAMPLE)).output.splitlines()
    assert [line.split(": ")[1].split(",")[0].split(" ")[0] for line in shown] == [
        *("unchanged", "loaded", "unchanged", "loaded", "unchanged", "loaded")
    ]
    assert "reaches 2022-01-01" in shown[1] and "ignored columns: geo" in shown[3]


def test_the_command_loads_the_sample_and_the_assets_bring_it_to_postgres(settings) -> None:
    from de_stack.definitions import defs

    first = typed("tweets", "--sample", "--json")
    assert first.exit_code == 0, first.output
    said = [json.loads(line) for line in first.output.splitlines()]
    assert [s["outcome"] for s in said] == ["loaded"] * len(SAMPLE)
    again = typed("tweets", str(SAMPLE[2]))
    assert "unchanged, loaded before" in again.output and "5 bad" in again.output

    location = defs()
    with dg.DagsterInstance.ephemeral() as instance:
        (sensor,) = [s for s in location.sensors or [] if s.name == "tweets__tweets__derive"]
        requests = asked(sensor, instance, settings)
        assert len(requests) == 1
        days = [requests[0].tags[f"dagster/asset_partition_range_{e}"] for e in ("start", "end")]
        assert days == ["2021-12-30", "2022-01-04"]
        done = location.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=requests[0].asset_selection, tags=requests[0].tags, instance=instance
        )
        assert done.success
        assert published(settings) == computed(SAMPLE)
        evaluations = done.get_asset_check_evaluations()
        assert len(evaluations) == 4
        assert all(e.passed for e in evaluations)
        assert verify.differences(settings, None) == (6, {})
        assert asked(sensor, instance, settings) == []
        # By hand, for one day: it is a no-op in Postgres' eyes.
        again = location.resolve_implicit_global_asset_job_def().execute_in_process(
            asset_selection=[dg.AssetKey(["tweets", "gold_renames"])],
            partition_key="2022-01-01",
            instance=instance,
        )
        (event,) = again.asset_materializations_for_node("tweets__gold_renames")
        assert event.metadata["rows"].value == 4


def asked(sensor: Any, instance: dg.DagsterInstance, settings: Settings) -> list[dg.RunRequest]:
    context = dg.build_sensor_context(instance=instance, resources={"settings": settings})
    result = sensor(context)
    return list(result.run_requests or []) if isinstance(result, dg.SensorResult) else []
