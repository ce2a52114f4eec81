"""Sensors that were off for a day while rows came: two runs catch up, not 24 times two."""

from __future__ import annotations

import time
from collections import defaultdict
from datetime import datetime, timedelta

import dagster as dg
import pytest

from de_stack import partitions
from de_stack.defs.telemetry import watch
from de_stack.flow import counts
from de_stack.settings import Settings
from de_stack_tests.faults.clocks import STREAM, producers_clock, send
from de_stack_tests.integration.pipeline import (
    CHAIN,
    an_hour_that_lasts,
    materialize,
    measure,
    serving,
)
from de_stack_tests.integration.test_sensors import tick

HOURS = 24


# Two minutes of them may be the wait for an hour that lasts.
@pytest.mark.timeout(420)
@pytest.mark.naive("only_the_newest_partition")
def test_a_day_of_missed_ticks_is_caught_up_by_one_landing_and_one_run_of_24_hours(
    settings: Settings,
) -> None:
    producers_clock(settings)
    now = an_hour_that_lasts()
    hours = [now - timedelta(hours=back) for back in range(HOURS, 0, -1)]
    sent: dict[datetime, list[float]] = defaultdict(list)
    for number, hour in enumerate(hours):
        sent[hour] = [float(number), number + 1.5]
    send(
        settings,
        (
            (measure("press", value, at := hour + timedelta(minutes=20 * i)), at)
            for hour, values in sent.items()
            for i, value in enumerate(values)
        ),
    )
    began = time.monotonic()
    with dg.DagsterInstance.ephemeral() as instance:
        landing = tick(watch.land_measures, settings, instance)
        assert isinstance(landing, dg.RunRequest)
        assert landing.partition_key == partitions.key(now, "hour")
        materialize(["bronze_measures"], now, instance=instance, tags=dict(landing.tags))
        assert tick(watch.land_measures, settings, instance) == "nothing new in Kafka"
        # Every hour is there in the graph, though nobody asked for it by its name.
        bronze = dg.AssetKey(["telemetry", "bronze_measures"])
        wanted = {partitions.key(h, "hour") for h in (*hours, now)}
        assert instance.get_materialized_partitions(bronze) == wanted

        deriving = tick(watch.derive_measures, settings, instance)
        assert isinstance(deriving, dg.RunRequest)
        names = [f"dagster/asset_partition_range_{end}" for end in ("start", "end")]
        first, last = (partitions.start(deriving.tags[n], "hour") for n in names)
        materialize(CHAIN, first, last, instance=instance)
        assert tick(watch.derive_measures, settings, instance) == "no event period is pending"
        assert (first, last) == (hours[0], hours[-1])
        runs = instance.get_runs()
        events = sum(len(instance.all_logs(run.run_id)) for run in runs)
    print(
        f"{HOURS} missed ticks: {len(runs)} runs, {events} events, {time.monotonic() - began:.1f} s"
    )
    assert len(runs) == 2
    rows = serving(
        settings,
        "select date_trunc('hour', window_start, 'UTC'), sum(count)::bigint, sum(count * mean) "
        f"from {settings.names.schema('telemetry')}.stats_measures group by 1",
    )
    assert {hour: (n, total) for hour, n, total in rows} == {
        hour: (len(values), sum(values)) for hour, values in sent.items()
    }
    found = counts.count(settings, STREAM)
    assert found.settled, found
    assert found.agree, found
