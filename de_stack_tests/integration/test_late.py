"""Late rows and held hours on real services: shown, held, released; a long replay in few runs."""

import json
import random
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import pytest
from typer.testing import CliRunner

from de_stack import partitions
from de_stack.cli import late as late_cli
from de_stack.contracts import load_stream
from de_stack.defs.telemetry import serve, watch
from de_stack.failures import PermanentFailure
from de_stack.flow import counts, late
from de_stack.flow.ledger import Ledger
from de_stack.flow.refine import silver
from de_stack.orchestration import spans
from de_stack.orchestration.waiting import MAX_PERIODS
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import (
    CHAIN,
    HOUR,
    materialize,
    measure,
    produce,
    serving,
    this_hour,
)
from de_stack_tests.integration.test_sensors import tick

STREAM = load_stream("telemetry.measures")


def send(settings: Settings, *hours: datetime) -> None:
    """One measure in each hour, landed."""
    produce(settings, [measure("a", 1.0, hour) for hour in hours])
    materialize(["bronze_measures"], this_hour())


def used_long_ago(settings: Settings, by: timedelta) -> None:
    """As if what was used until now had been used for the first time that long ago."""
    consumer = silver(settings, STREAM).table_id
    with Postgres(settings, "ledger").transaction("move time in a test") as db:
        db.execute(
            "update ledger.applied set first_applied_at = first_applied_at - %s "
            "where consumer = %s",
            (by, consumer),
        )


def run_what_is_asked(settings: Settings, instance: dg.DagsterInstance) -> tuple[int, str]:
    """Run what the sensor asks for until it asks no more; how many runs, and what it says then."""
    runs = 0
    while True:
        asked = tick(watch.derive_measures, settings, instance)
        if isinstance(asked, str):
            return runs, asked
        names = [key.path[1] for key in asked.asset_selection or []]
        materialize(names, tags=dict(asked.tags), instance=instance)
        runs += 1


def view(settings: Settings, name: str) -> list[datetime]:
    consumer = silver(settings, STREAM).table_id
    with Postgres(settings, "ledger").transaction("look in a test") as db:
        found = db.execute(
            f"select event_hour from ledger.{name} where consumer = %s order by 1".encode(),
            (consumer,),
        ).fetchall()
    return [row[0] for row in found]


def published(settings: Settings) -> dict[datetime, int]:
    table = f"{settings.names.schema('telemetry')}.stats_measures"
    return {hour: int(n) for hour, n in serving(settings, _PER_HOUR.format(table))}


_PER_HOUR = "select date_trunc('hour', window_start, 'UTC'), sum(count) from {} group by 1"


def test_numbers_that_stood_for_longer_than_the_look_back_change_only_when_released(
    settings,
) -> None:
    old, recent = this_hour() - timedelta(days=10), this_hour() - timedelta(days=2)
    with dg.DagsterInstance.ephemeral() as instance:
        # Never derived: computed by itself, however old.
        send(settings, old, recent)
        assert run_what_is_asked(settings, instance) == (2, "no event period is pending")
        # Derived a moment ago: the look-back begins when numbers are there for the first time.
        send(settings, old)
        assert run_what_is_asked(settings, instance)[0] == 1
        assert published(settings) == {old: 2, recent: 1}

        used_long_ago(settings, STREAM.look_back + HOUR)
        send(settings, old, recent, old + HOUR)
        names = [partitions.key(h, "hour") for h in (old, recent)]
        # `recent` is younger than the look-back, but its numbers have stood as long... since then.
        assert view(settings, "held") == [old]
        assert view(settings, "pending") == [old + HOUR, recent]
        runs, said = run_what_is_asked(settings, instance)
        assert runs == 2
        assert "1 are held: `de-stack late list telemetry.measures --held`" in said
        assert published(settings) == {old: 2, old + HOUR: 1, recent: 2}

        found = counts.count(settings, STREAM)
        assert (found.held, found.pending, found.settled, found.agree) == (1, 0, True, True)
        states = {h.event_hour: (h.rows, h.state) for h in late.late_hours(settings, STREAM)}
        assert states == {old: (3, "held"), old + HOUR: (1, "done"), recent: (2, "done")}

        with pytest.raises(PermanentFailure, match=f"not held: {names[1]}"):
            late.release(settings, STREAM, [old, recent], "both", "somebody")
        assert late.release(settings, STREAM, None, "the plant says so", "somebody") == [old]
        assert view(settings, "held") == []
        assert run_what_is_asked(settings, instance) == (1, "no event period is pending")
        assert published(settings)[old] == 3
        # The release was for what had landed by then.
        send(settings, old)
        assert run_what_is_asked(settings, instance)[0] == 0
        assert view(settings, "held") == [old]


def test_an_hour_that_was_empty_when_it_was_derived_had_no_numbers_to_stand(settings) -> None:
    hour = this_hour() - timedelta(days=9)
    with dg.DagsterInstance.ephemeral() as instance:
        send(settings, hour)
        materialize(CHAIN, hour - HOUR, hour + HOUR, instance=instance)
        used_long_ago(settings, timedelta(days=8))
        for rows in (1, 2):
            send(settings, hour - HOUR, hour)
            assert run_what_is_asked(settings, instance)[0] == 1
            assert published(settings) == {hour - HOUR: rows, hour: 1}
            assert view(settings, "held") == [hour]


def test_a_held_hour_is_not_swept_along_by_its_neighbours(settings) -> None:
    hour = this_hour() - timedelta(days=9)
    three = [hour - HOUR, hour, hour + HOUR]
    with dg.DagsterInstance.ephemeral() as instance:
        send(settings, hour)
        # Silver has it and the statistics do not: they lag in an hour that silver holds.
        materialize(CHAIN[:1], hour, instance=instance)
        used_long_ago(settings, timedelta(days=8))
        send(settings, *three)
        asked = tick(watch.derive_measures, settings, instance)
        assert isinstance(asked, dg.RunRequest)
        assert run_what_is_asked(settings, instance)[0] == 3
        assert published(settings) == {three[0]: 1, hour: 1, three[2]: 1}
        assert view(settings, "held") == [hour]


def test_a_run_does_not_reach_over_hours_whose_next_row_would_be_held(settings) -> None:
    # A row may land in them while the run is on its way.
    first = this_hour() - timedelta(days=5)
    stood, last = first + 2 * HOUR, first + 5 * HOUR
    send(settings, stood)
    with dg.DagsterInstance.ephemeral() as instance:
        assert run_what_is_asked(settings, instance)[0] == 1
        send(settings, first, last)
        # Used a moment ago: what lands now is pending by itself.
        asked = tick(watch.derive_measures, settings, instance)
        assert isinstance(asked, dg.RunRequest)
        assert spans.periods_of(asked.tags, "hour") == (first, last)
        used_long_ago(settings, timedelta(days=4))
        asked = tick(watch.derive_measures, settings, instance)
        assert isinstance(asked, dg.RunRequest)
        assert spans.periods_of(asked.tags, "hour") == (first, first)
        assert run_what_is_asked(settings, instance)[0] == 2
        assert published(settings) == {first: 1, stood: 1, last: 1}


def test_dagster_hears_of_the_hours_with_rows_that_a_run_reaches_over_to(settings) -> None:
    first = this_hour() - timedelta(days=9)
    hours = [first, first + HOUR, first + timedelta(days=3), first + timedelta(days=8)]
    send(settings, *hours)
    with dg.DagsterInstance.ephemeral() as instance:
        asked = tick(watch.derive_measures, settings, instance)
        assert isinstance(asked, dg.RunRequest)
        assert spans.periods_of(asked.tags, "hour") == (hours[0], hours[-1])
        # The run's own partitions end at the first hole.
        assert asked.tags["dagster/asset_partition_range_end"] == partitions.key(hours[1], "hour")
        assert run_what_is_asked(settings, instance)[0] == 1
        assert published(settings) == dict.fromkeys(hours, 1)
        told = {partitions.key(hour, "hour") for hour in hours}
        for name in CHAIN:
            key = dg.AssetKey(["telemetry", name])
            assert instance.get_materialized_partitions(key) == told
        assert view(settings, "pending") == []


def test_the_command_lists_how_late_rows_were_and_releases_by_hour(settings) -> None:
    import typer

    app = typer.Typer()
    late_cli.register(app)
    # A typer app of one group needs a second command to keep the group's name.
    app.command("nothing")(lambda: None)

    def typed(*words: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["late", *words])
        return result.exit_code, result.output

    assert typed("list") == (0, "no late rows\n")
    hour = this_hour() - timedelta(days=5)
    key = partitions.key(hour, "hour")
    send(settings, hour, hour)
    (row,) = json.loads(typed("list", "--json")[1])
    age = (datetime.now(UTC) - hour - HOUR).total_seconds()
    assert (row["event_hour"], row["rows"], row["late_rows"]) == (key, 2, 2)
    assert row["most_late_s"] == pytest.approx(age, abs=120)
    assert row["state"] == "pending"
    materialize(CHAIN, hour)
    used_long_ago(settings, timedelta(days=4))
    send(settings, hour)
    assert "held" in typed("list", "--held")[1]
    assert typed("release", "--reason", "x")[0] == 2
    assert typed("release", "--reason", "x", "--all", "--hour", key)[0] == 2
    assert typed("release", "--reason", "x", "--hour", "noon")[0] == 2
    assert typed("release", "--reason", "x", "--hour", key) == (0, "released 1 hours\n")
    assert json.loads(typed("list", "--json", "--held")[1]) == []
    assert typed("release", "--reason", "x", "--all") == (0, "no hour is held\n")


@pytest.mark.timeout(900)
def test_a_replay_of_79_days_takes_a_run_per_month_and_a_file_per_day(settings, capsys) -> None:
    days, chance = 79, random.Random(5)  # noqa: S311 - test data
    last = this_hour() - HOUR
    first = last - timedelta(days=days) + HOUR
    hours = partitions.expand(first, last, "hour")
    times = hours + [chance.choice(hours) for _ in range(104)]
    began = time.monotonic()
    produce(
        settings,
        [
            measure(f"m-{i % 4}", float(i), at + timedelta(seconds=chance.randrange(3600)))
            for i, at in enumerate(times)
        ],
    )
    with dg.DagsterInstance.ephemeral() as instance:
        assert isinstance(tick(watch.land_measures, settings, instance), dg.RunRequest)
        materialize(["bronze_measures"], this_hour(), instance=instance)
        landed = time.monotonic()
        runs, _ = run_what_is_asked(settings, instance)
        done = time.monotonic()
        events = sum(
            len(instance.all_logs(record.dagster_run.run_id))
            for record in instance.get_run_records()
        )
    files = {
        table.table_id.split(".")[-1]: len(Lake(settings).open(table.uri).file_uris())  # type: ignore[union-attr]
        for table in (silver(settings, STREAM), serve.STATS.table(settings))
    }
    with capsys.disabled():
        print(  # noqa: T201 - the figures of this test
            f"\n{len(times)} rows over {days} days: landed in {landed - began:.1f} s, "
            f"{runs} runs in {done - landed:.1f} s, {events} Dagster events, files {files}"
        )
    found = counts.count(settings, STREAM)
    assert (found.published, found.pending, found.held) == (2000, 0, 0)
    assert found.agree
    assert runs <= len(hours) / MAX_PERIODS + 1
    # A day on the border of two runs is written twice.
    assert all(n <= days + 1 + runs for n in files.values()), files
    assert Ledger(settings).pending("nobody", silver(settings, STREAM).table_id)
    assert Path(silver(settings, STREAM).uri).is_dir()
