"""Clocks that are wrong: the event's, and on a CreateTime topic the one that labels ingestion."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from de_stack import partitions
from de_stack.defs.telemetry import watch
from de_stack.flow import counts, land, late
from de_stack.flow.bronze import bronze
from de_stack.flow.refine import silver
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.faults.clocks import STREAM, producers_clock, send
from de_stack_tests.integration.pipeline import (
    CHAIN,
    materialize,
    measure,
    produce,
    serving,
    session,
    this_hour,
)
from de_stack_tests.integration.test_sensors import tick

BRONZE = dg.AssetKey(["telemetry", "bronze_measures"])
NEVER, FAR = datetime(1970, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def _uri(settings: Settings) -> str:
    return bronze(settings, STREAM).uri


def verdicts(settings: Settings) -> dict[str, str | None]:
    """Source -> code and field of its message, None for a row."""
    rows = (
        Lake(settings)
        .query(_uri(settings), "select cast(key as string) as source, error from t")
        .to_pylist()
    )
    return {r["source"]: r["error"] and ":".join(r["error"].split(":")[:2]) for r in rows}


def derive_what_waits(settings: Settings, instance: dg.DagsterInstance) -> list[list[str]]:
    """Run what the sensor asks for until it asks for nothing; the ranges of the runs."""
    ranges: list[list[str]] = []
    while isinstance(asked := tick(watch.derive_measures, settings, instance), dg.RunRequest):
        assert len(ranges) < 5, f"it asks again and again: {ranges}"
        bounds = [asked.tags[f"dagster/asset_partition_range_{end}"] for end in ("start", "end")]
        materialize(CHAIN, tags=dict(asked.tags), instance=instance)
        ranges.append(bounds)
    return ranges


@pytest.mark.naive("lenient_json")
def test_event_times_outside_of_the_contract_are_dead_letters_and_at_its_edges_rows(
    settings: Settings,
) -> None:
    now, start = datetime.now(UTC), STREAM.history_start
    sent = {
        "1970": NEVER,
        "2100": FAR,
        "before the history": start - SECOND,
        "its start": start,
        "a little ahead": now + STREAM.max_future - timedelta(seconds=5),
        "too far ahead": now + STREAM.max_future + timedelta(minutes=2),
        "now": now,
    }
    produce(settings, [measure(name, 1.0, at) for name, at in sent.items()])
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(["bronze_measures"], this_hour(), instance=instance)
        assert verdicts(settings) == {
            "1970": "before_history:measured_at",
            "2100": "in_future:measured_at",
            "before the history": "before_history:measured_at",
            "its start": None,
            "a little ahead": None,
            "too far ahead": "in_future:measured_at",
            "now": None,
        }
        derive_what_waits(settings, instance)
    found = counts.count(settings, STREAM)
    assert found.settled, found
    assert (found.bronze, found.dead, found.silver, found.published) == (7, 4, 3, 3)
    sql = f"select source_id from {settings.names.schema('telemetry')}.stats_measures"
    published = {source for (source,) in serving(settings, sql)}
    assert published == {"its start", "a little ahead", "now"}
    # The start of history is far beyond the look-back, but its hour had no numbers to protect.
    held = {h.event_hour: h.state for h in late.late_hours(settings, STREAM)}
    assert held == {start: "done"}


@pytest.mark.naive("the_stamp_is_believed")
def test_one_wild_stamp_on_a_topic_with_the_producers_clock_harms_no_other_row(
    settings: Settings,
) -> None:
    producers_clock(settings)
    now, hour = datetime.now(UTC), this_hour()
    # Some rows get the time of the landing: none of them must be late by that.
    at = now - SECOND
    sent = {
        "good": (at, at + SECOND),
        "stamp of 1970": (at, NEVER),
        "no stamp": (at, -1),
        "stamp of 2100": (at, FAR),
        "stamp in microseconds": (at, int(at.timestamp() * 1_000_000)),
        "2100 by both clocks": (FAR, FAR),
        "1970 by both clocks": (NEVER, NEVER),
        "good, too": (at, now),
    }
    send(settings, [(measure(name, 1.0, when), stamp) for name, (when, stamp) in sent.items()])
    with dg.DagsterInstance.ephemeral() as instance:
        materialize(["bronze_measures"], hour, instance=instance)
        assert verdicts(settings) == {
            "good": None,
            "good, too": None,
            # A row whose stamp cannot be true is judged by the time of its landing.
            "stamp of 1970": None,
            "no stamp": None,
            "stamp of 2100": None,
            "stamp in microseconds": None,
            "2100 by both clocks": "in_future:measured_at",
            "1970 by both clocks": "before_history:measured_at",
        }
        # Dagster hears of hours that it has, from the first good row's to now, and of no others.
        told = {partitions.start(k, "hour") for k in instance.get_materialized_partitions(BRONZE)}
        assert told >= {partitions.floor(at, "hour"), hour}
        assert min(told) >= STREAM.history_start
        assert max(told) <= this_hour()
        assert len(told) <= 3

        # The next landing is as quick and as right as if nothing had been.
        produce(settings, [measure("later", 1.0, datetime.now(UTC))])
        assert isinstance(tick(watch.land_measures, settings, instance), dg.RunRequest)
        materialize(["bronze_measures"], this_hour(), instance=instance)
        ((first, last),) = derive_what_waits(settings, instance)
        assert first == partitions.key(partitions.floor(at, "hour"), "hour")
        assert last in {partitions.key(h, "hour") for h in (hour, this_hour())}
    found = counts.count(settings, STREAM)
    assert found.settled, found
    assert (found.bronze, found.dead, found.silver, found.published) == (9, 2, 7, 7)
    sql = "select source_id from t where is_late"
    assert Lake(settings).query(silver(settings, STREAM).uri, sql).num_rows == 0
    sql = "select min(ingest_hour) as first, max(ingest_hour) as last from t"
    ((first, last),) = (r.values() for r in Lake(settings).query(_uri(settings), sql).to_pylist())
    assert first >= partitions.floor(at, "hour")
    assert last <= this_hour()


@pytest.mark.naive("only_hours_that_have_begun")
def test_a_row_of_an_hour_that_has_not_begun_is_published_and_its_hour_goes_on_when_it_comes(
    settings: Settings,
) -> None:
    """Clocks may be ahead, over the end of an hour: Dagster has no partition of that name yet."""
    ahead = replace(STREAM, max_future=timedelta(hours=3))
    to_come = this_hour() + timedelta(hours=2)
    spark = session(settings)
    produce(settings, [measure("ahead", 1.0, to_come)])
    land.land(settings, ahead, spark, "test")
    key = partitions.key(to_come, "hour")
    with dg.DagsterInstance.ephemeral() as instance:
        assert derive_what_waits(settings, instance) == [[key, key]]
        # Its first numbers are not its last ones.
        produce(settings, [measure("ahead", 2.0, to_come)])
        land.land(settings, ahead, spark, "test")
        assert derive_what_waits(settings, instance) == [[key, key]]
    sql = f"select count, mean from {settings.names.schema('telemetry')}.stats_measures"
    assert serving(settings, sql) == [(2, 1.5)]
