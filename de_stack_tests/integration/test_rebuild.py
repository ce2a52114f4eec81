"""`de-stack rebuild` on real services: broken numbers, a lost table, what it says beforehand."""

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import typer
from typer.testing import CliRunner

from de_stack import partitions
from de_stack.cli import rebuild as command
from de_stack.contracts import load_stream
from de_stack.defs.telemetry.serve import STATS
from de_stack.failures import PermanentFailure
from de_stack.flow import counts, ledger_rebuild
from de_stack.flow.bronze import bronze
from de_stack.flow.ledger import Ledger
from de_stack.flow.ledger_check import check
from de_stack.flow.refine import silver
from de_stack.flow.table_check import check_table
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import (
    CHAIN,
    HOUR,
    enter_namespace,
    materialize,
    measure,
    produce,
    serving,
    this_hour,
)
from de_stack_tests.integration.test_asset_checks import lose_rows
from de_stack_tests.integration.test_late import send, used_long_ago, view

STREAM = load_stream("telemetry.measures")
# Once: the hour may end while a test runs.
NOW = this_hour()
HOURS = [NOW - timedelta(days=60), NOW - 3 * HOUR, NOW - 2 * HOUR]
HOURLY = (
    "telemetry/silver_measures or telemetry/stats_measures or telemetry/published_stats_measures"
)


@pytest.fixture(scope="module")
def filled(stack: Settings) -> Iterator[Settings]:  # noqa: ARG001
    """Two neighbouring hours and one two months before, all published.

    For all tests of this module: each but the last leaves all as it was, seen from outside.
    """
    with pytest.MonkeyPatch.context() as patch, dg.DagsterInstance.ephemeral() as instance:
        settings = enter_namespace(patch)
        patch.setattr(dg.DagsterInstance, "get", lambda: _Kept(instance))
        # `up` of the daemon makes it; these tests start only what rows go through.
        (settings.home / "dagster").mkdir(exist_ok=True)
        produce(settings, [measure("a", float(i), hour) for i, hour in enumerate(HOURS)])
        materialize(["bronze_measures"], this_hour())
        materialize(CHAIN, HOURS[0])
        materialize(CHAIN, *HOURS[1:])
        yield settings


class _Kept:
    """The instance, which the command must not close under us."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self._instance = instance

    def __enter__(self) -> dg.DagsterInstance:
        return self._instance

    def __exit__(self, *_: object) -> None:
        pass


def typed(*words: str) -> list[dict[str, Any]]:
    app = typer.Typer()
    command.register(app)
    result = CliRunner().invoke(app, [*words, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.output.splitlines() if line.startswith("{")]


def rows_of(settings: Settings, table: Any) -> list[dict]:
    return Lake(settings).query(table.uri, "select * from t order by event_hour").to_pylist()


def published(settings: Settings) -> list[tuple]:
    schema = settings.names.schema("telemetry")
    return serving(settings, f"select * from {schema}.stats_measures order by window_start")


def test_numbers_that_were_broken_by_hand_are_computed_and_published_again(filled) -> None:
    typed_, summed = silver(filled, STREAM), STATS.table(filled)
    good = [rows_of(filled, typed_), rows_of(filled, summed), published(filled)]
    lose_rows(filled, typed_)
    schema = filled.names.schema("telemetry")
    with Postgres(filled, "serving").transaction("break in a test") as db:
        db.execute(f"update {schema}.stats_measures set count = 99".encode())
    # Nothing is pending: no sensor would ask for it.
    assert Ledger(filled).pending(typed_.table_id, bronze(filled, STREAM).table_id) == []
    first, last = (partitions.key(hour, "hour") for hour in HOURS[1:])

    before = Lake(filled).version(typed_.uri)
    plan = {p["asset"]: p for p in typed(HOURLY, "--from", first, "--to", last, "--dry-run")}
    assert list(plan) == [f"telemetry/{name}" for name in CHAIN]
    of_silver = plan["telemetry/silver_measures"]
    assert (of_silver["first"], of_silver["last"]) == (first, last)
    assert (of_silver["read_rows"], of_silver["replaced_rows"]) == (2, 0)
    assert of_silver["read_bytes"] > 0
    of_stats = plan["telemetry/stats_measures"]
    assert (of_stats["read_rows"], of_stats["replaced_rows"]) == (0, 2)
    assert of_stats["replaced_bytes"] > 0
    assert Lake(filled).version(typed_.uri) == before

    done = {d["asset"]: d for d in typed(HOURLY, "--from", first, "--to", last)}
    assert done["telemetry/silver_measures"]["rows"] == 2
    assert done["telemetry/published_stats_measures"]["hours_replaced"] == 2
    assert published(filled)[1:] == good[2][1:]
    assert rows_of(filled, typed_) == good[0][1:]
    # Not asked for, not touched.
    assert published(filled)[0] != good[2][0]

    # All that landed, in ranges of a month at most; once more, and nothing is another.
    for _ in range(2):
        spans = {(d["first"], d["last"]) for d in typed(HOURLY)}
        assert spans == {(partitions.key(HOURS[0], "hour"),) * 2, (first, last)}
        assert [rows_of(filled, typed_), rows_of(filled, summed), published(filled)] == good
    assert [text for one in check(filled) for text in one.disagreements] == []


def test_the_copy_alone_takes_its_source_with_it_because_postgres_only_goes_forward(filled) -> None:
    good, version = published(filled), Lake(filled).version(STATS.table(filled).uri)
    schema = filled.names.schema("telemetry")
    with Postgres(filled, "serving").transaction("break in a test") as db:
        table = f"{schema}.stats_measures"
        db.execute(f"delete from {table} where window_start >= %s".encode(), (HOURS[1],))
    done = typed("telemetry/published_stats_measures", "--from", partitions.key(HOURS[1], "hour"))
    assert {d["asset"].split("/")[1] for d in done} == {
        "stats_measures",
        "published_stats_measures",
    }
    assert published(filled) == good
    assert Lake(filled).version(STATS.table(filled).uri) == version + 1


@pytest.mark.parametrize("name", ["silver_measures", "stats_measures"])
def test_a_table_whose_folder_is_gone_comes_back_with_versions_that_go_on(filled, name) -> None:
    table = silver(filled, STREAM) if name == "silver_measures" else STATS.table(filled)
    good = [rows_of(filled, table), published(filled)]
    version = Lake(filled).version(table.uri)
    assert version is not None
    shutil.rmtree(table.uri)
    with pytest.raises(PermanentFailure, match="de-stack rebuild"):
        materialize([name], HOURS[1])
    plan = typed(HOURLY, "--dry-run")
    assert {p["asset"].split("/")[1] for p in plan if p["is_lost"]} == {name}
    assert not Path(table.uri).exists()

    # One hour: the rest is pending, and nothing of it is taken for done.
    one = partitions.key(HOURS[2], "hour")
    first, *_ = typed(HOURLY, "--from", one, "--to", one)
    assert first == {"lost": table.table_id, "made_anew_at_version": version + 1}
    assert rows_of(filled, table) == good[0][2:]
    source = bronze(filled, STREAM) if name == "silver_measures" else silver(filled, STREAM)
    assert Ledger(filled).pending(table.table_id, source.table_id) == HOURS[:2]
    assert check_table(filled, table).disagreements == []
    for span in partitions.contiguous(HOURS[:2], "hour"):
        materialize(CHAIN, *span)
    newest = Lake(filled).version(table.uri)
    assert newest is not None
    assert newest > version + 2
    assert [rows_of(filled, table), published(filled)] == good
    assert counts.count(filled, STREAM).agree
    assert [text for one in check(filled) for text in one.disagreements] == []
    # The ledger can be made from it, and it is a table as any other.
    ledger_rebuild.rebuild(filled)
    assert [text for one in check(filled) for text in one.disagreements] == []
    materialize([f"maintained_{name}"])
    assert rows_of(filled, table) == good[0]
    assert {p.name for p in Path(table.uri).parent.iterdir()} == {
        "bronze_measures",
        "silver_measures",
        "stats_measures",
    }


def test_hours_that_nobody_has_are_refused_with_those_that_there_are(filled) -> None:
    app = typer.Typer()
    command.register(app)

    def said(*words: str) -> str:
        with pytest.raises(PermanentFailure) as caught:
            CliRunner().invoke(app, list(words), catch_exceptions=False)
        return str(caught.value)

    ends = [partitions.key(HOURS[i], "hour") for i in (0, -1)]
    text = said(STREAM.name, "--from", "2026-01-01", "--to", "2026-01-02")
    assert f"it has {ends[0]} to {ends[1]}" in text
    assert "lies before" in said(STREAM.name, "--from", "2026-02-01", "--to", "2026-01-02")
    # Held: what stands changes when a person releases it, not because it is computed again.
    used_long_ago(filled, STREAM.look_back + HOUR)
    send(filled, HOURS[0])
    assert view(filled, "held") == HOURS[:1]
    planned = typed(HOURLY, "--dry-run")
    assert planned[0] == {"held": ends[:1]}
    assert {p["first"] for p in planned[1:]} == {partitions.key(HOURS[1], "hour")}
    text = said(STREAM.name, "--from", ends[0], "--to", ends[0])
    assert f"held: {ends[0]}" in text
    assert "de-stack late release telemetry.measures" in text
    wrong = CliRunner().invoke(app, [STREAM.name, "--from", "yesterday"])
    assert wrong.exit_code == 2
    assert "'yesterday'" in wrong.output
    assert "%Y-%m-%d-%H:%M" in wrong.output
