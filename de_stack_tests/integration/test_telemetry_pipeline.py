"""Telemetry from Kafka to Postgres on real services, with numbers computed elsewhere."""

import math
import statistics
import threading
import time
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import dagster as dg
import psutil
import pytest

from de_stack import partitions
from de_stack.contracts import load_stream
from de_stack.defs.telemetry import serve
from de_stack.failures import PermanentFailure
from de_stack.flow import checks, counts, land, tables
from de_stack.flow import refine as refine_to
from de_stack.flow.bronze import bronze
from de_stack.flow.ledger import Ledger
from de_stack.local import status
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import (
    CHAIN,
    materialize,
    measure,
    metadata,
    produce,
    serving,
    session,
    this_hour,
)

STREAM = load_stream("telemetry.measures")


def pending(settings: Settings) -> list[datetime]:
    names = settings.names
    bronze, silver = (names.table_id("telemetry", x, "measures") for x in ("bronze", "silver"))
    return Ledger(settings).pending(silver, bronze)


def run_all(settings: Settings) -> None:
    """Land, then every pending range, as the sensors would ask for it."""
    materialize(["bronze_measures"], this_hour())
    for first, last in partitions.contiguous(pending(settings), "hour"):
        materialize(CHAIN, first, last)


def quantile(values: list[float], q: float) -> float:
    """Linear interpolation between closest ranks (type 7), from its definition."""
    ordered, position = sorted(values), (len(values) - 1) * q
    low = math.floor(position)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (position - low)


def test_statistics_in_postgres_are_those_computed_by_hand(settings) -> None:
    start = this_hour() - timedelta(hours=2)
    sent = [
        measure(f"press-{i % 3}", math.sin(i) * 50 + i / 7, start + timedelta(seconds=i * 11))
        for i in range(600)
    ]
    produce(settings, sent)
    run_all(settings)

    windows: dict[tuple[str, datetime], list[float]] = {}
    for m in sent:
        at = datetime.fromisoformat(m["measured_at"])
        window = at - timedelta(
            minutes=at.minute % 5, seconds=at.second, microseconds=at.microsecond
        )
        windows.setdefault((m["source_id"], window), []).append(m["value"])
    rows = serving(
        settings,
        "select source_id, window_start, window_end, count, min, max, mean, stddev, p50, p90, p99 "
        f"from {settings.names.schema('telemetry')}.stats_measures",
    )
    assert len(rows) == len(windows)
    for source, window, end, n, low, high, mean, deviation, p50, p90, p99 in rows:
        values = windows[source, window]
        assert end - window == timedelta(minutes=5)
        assert (n, low, high) == (len(values), min(values), max(values))
        assert mean == pytest.approx(statistics.fmean(values), rel=1e-12)
        if len(values) == 1:
            assert deviation is None
        else:
            assert deviation == pytest.approx(statistics.stdev(values), rel=1e-9)
        for got, q in ((p50, 0.5), (p90, 0.9), (p99, 0.99)):
            assert got == pytest.approx(quantile(values, q), rel=1e-12)


def test_every_row_is_silver_a_duplicate_or_a_dead_letter_and_a_second_run_changes_nothing(
    settings,
) -> None:
    at = this_hour() + timedelta(seconds=1) - timedelta(hours=1)
    good = [measure("a", float(i), at + timedelta(seconds=i)) for i in range(50)]
    ids = [f"id-{i}" for i in range(50)]
    bad = [b"{", b"null", b"", good[0]["source_id"].encode(), b'{"source_id":"a"}']
    no_id = [measure("b", 1.0, at), measure("b", 1.0, at)]
    produce(settings, good, ids)
    produce(settings, good[:7], ids[:7])
    produce(settings, bad)
    produce(settings, no_id, [None, None])
    run_all(settings)
    found = counts.count(settings, STREAM)
    assert (found.bronze, found.dead, found.duplicates, found.silver) == (64, 5, 7, 52)
    assert found.settled
    assert found.agree

    again = metadata(materialize(["bronze_measures"], this_hour()), "bronze_measures")
    assert again["slices"] == 0
    done = metadata(materialize(CHAIN, partitions.floor(at, "hour")), "silver_measures")
    assert done["rows"] == 52
    assert counts.count(settings, STREAM) == found


def test_a_late_row_repairs_the_numbers_of_its_hour(settings) -> None:
    hour = this_hour() - timedelta(hours=5)
    produce(settings, [measure("a", 1.0, hour), measure("a", 3.0, hour + timedelta(minutes=1))])
    run_all(settings)
    table = f"{settings.names.schema('telemetry')}.stats_measures"
    assert serving(settings, f"select count, mean from {table}") == [(2, 2.0)]
    lake, ledger = Lake(settings), Ledger(settings)
    silver, stats = refine_to.silver(settings, STREAM), serve.STATS.table(settings)
    before = lake.version(stats.uri)
    produce(settings, [measure("a", 8.0, hour + timedelta(minutes=2))])
    materialize(["bronze_measures"], this_hour())
    assert pending(settings) == [hour]
    run_all(settings)
    assert pending(settings) == []
    assert serving(settings, f"select count, mean from {table}") == [(3, 4.0)]
    # Old statistics beside new silver differ rightly, and a check must know it.
    now = [lake.version(t.uri) for t in (stats, silver)]
    assert ledger.behind(stats.table_id, before, silver.table_id, now[1]) == [hour]
    assert ledger.behind(stats.table_id, now[0], silver.table_id, now[1]) == []
    assert checks.differences(settings, silver, stats, "count", None) == (1, [])


def test_an_idle_hour_materializes_to_nothing_and_succeeds(settings) -> None:
    hour = this_hour() - timedelta(hours=3)
    produce(settings, [measure("a", 1.0, hour)])
    materialize(["bronze_measures"], this_hour())
    for _ in range(2):
        done = materialize(CHAIN, hour - timedelta(hours=9))
        assert metadata(done, "silver_measures")["rows"] == 0
        assert metadata(done, "published_stats_measures")["rows"] == 0
    assert pending(settings) == [hour]


def test_a_period_that_a_killed_run_derived_is_told_to_dagster_by_the_next_run(settings) -> None:
    first, second = (this_hour() - timedelta(hours=h) for h in (7, 4))
    produce(settings, [measure("a", 1.0, first), measure("a", 1.0, second)])
    with dg.DagsterInstance.ephemeral() as instance:
        land.land(settings, STREAM, session(settings), "killed before it could say so")
        refine_to.refine(settings, STREAM, first, first, session(settings), "killed, too")
        silver, bronze = (dg.AssetKey(["telemetry", f"{x}_measures"]) for x in ("silver", "bronze"))
        assert not instance.get_materialized_partitions(silver)
        materialize(["silver_measures"], second, instance=instance)
        materialize(["bronze_measures"], first, instance=instance)
        keys = {partitions.key(h, "hour") for h in (first, second)}
        assert instance.get_materialized_partitions(silver) == keys
        told = instance.get_materialized_partitions(bronze)
        assert partitions.key(this_hour(), "hour") in told


def test_a_serving_table_that_was_dropped_comes_back_with_its_rows(settings) -> None:
    hour = this_hour() - timedelta(hours=1)
    produce(settings, [measure("a", 1.0, hour)])
    run_all(settings)
    table = f"{settings.names.schema('telemetry')}.stats_measures"
    with Postgres(settings, "serving").transaction("drop in a test") as connection:
        connection.execute(f"drop table {table}".encode())
    materialize(["published_stats_measures"], hour)
    assert serving(settings, f"select count from {table}") == [(1,)]


def test_two_landings_at_once_land_each_offset_once(settings) -> None:
    at = this_hour()
    produce(settings, [measure("a", float(i), at) for i in range(3000)])
    spark = session(settings)()
    small = Settings(slice_max_rows=1000)
    landings: list[land.Landing] = []
    failures: list[BaseException] = []

    def one() -> None:
        try:
            landings.append(land.land(small, STREAM, lambda: spark, "race"))
        except BaseException as error:  # noqa: BLE001 - shown below
            failures.append(error)

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    found = counts.count(settings, STREAM)
    assert (found.bronze, found.waiting) == (3000, 0)
    # Delta reports success for a skipped write too: nobody counts what another has landed.
    assert [sum(each) for each in zip(*((x.slices, x.rows) for x in landings), strict=True)] == [
        3,
        3000,
    ]


def test_a_folder_that_is_no_table_is_refused_by_name_and_left_alone(settings) -> None:
    table = bronze(settings, STREAM)
    place = Path(table.uri) / "mine.txt"
    place.parent.mkdir(parents=True)
    place.write_text("mine")
    produce(settings, [measure("a", 1.0, this_hour())])
    with pytest.raises(
        PermanentFailure, match=r"bronze_measures.* is not empty and no Delta table"
    ):
        land.land(settings, STREAM, session(settings), "r")
    assert [p.name for p in place.parent.iterdir()] == ["mine.txt"]


def test_headers_land_as_they_came_and_none_where_none_came(settings) -> None:
    at = this_hour()
    sent = [measure("a", float(i), at) for i in range(4)]
    produce(settings, sent, ids=["first", None, None, "last"])
    land.land(settings, STREAM, session(settings), "r")
    rows = session(settings)().read.format("delta").load(bronze(settings, STREAM).uri)
    found = {r["record"]["value"]: r["headers"] for r in rows.collect()}
    by_value = {n: h and [(x["key"], x["value"]) for x in h] for n, h in found.items()}
    assert by_value == {0: [("ce_id", b"first")], 1: None, 2: None, 3: [("ce_id", b"last")]}


def test_a_table_that_somebody_else_is_making_is_waited_for_and_used(settings) -> None:
    table, spark = bronze(settings, STREAM), session(settings)()
    elsewhere = replace(table, uri=f"{table.uri}_elsewhere")
    tables.create(spark, Lake(settings), elsewhere)
    # What another maker looks like in the middle: its folder is there, its commit is not.
    place = Path(table.uri)
    place.mkdir(parents=True)
    (place / "under_way.parquet").touch()
    produce(settings, [measure("a", 1.0, this_hour())])
    log = Path(elsewhere.uri, "_delta_log")
    commits = threading.Timer(3, lambda: log.rename(place / "_delta_log"))
    commits.start()
    land.land(settings, STREAM, lambda: spark, "r")
    commits.join()
    assert counts.count(settings, STREAM).bronze == 1


def test_publishing_an_older_version_changes_nothing(settings) -> None:
    from de_stack.flow.publish import publish

    hour = this_hour() - timedelta(hours=1)
    produce(settings, [measure("a", 1.0, hour)])
    run_all(settings)
    produce(settings, [measure("a", 2.0, hour)])
    run_all(settings)
    source = serve.STATS.table(settings)
    names = [name for name, _, _ in serve.STATS.serving_columns]
    listed = ", ".join(f'"{name}"' for name in names)
    first = next(
        c.version
        for c in Lake(settings).commits_after(source.uri, -1)
        if (c.metadata or {}).get("kind") == "derive"
    )
    old = Lake(settings).query(source.uri, f"select {listed} from t", first)
    target = serve.STATS.serving(settings)
    consumer = settings.names.table_id("telemetry", "published", "stats_measures")
    done = publish(settings, target, old, consumer, first, "stale", [hour])
    assert (done.rows, done.hours, done.skipped) == (0, 0, 1)
    table = f"{settings.names.schema('telemetry')}.stats_measures"
    assert serving(settings, f"select count from {table}") == [(2,)]


def test_slices_leave_no_kafka_consumer_behind_in_the_spark_server(settings, spark) -> None:
    # Each would keep what it has fetched ahead, megabytes, and no other query could use it.
    at, slices = this_hour(), 6
    produce(settings, [measure(f"s{i}", float(i), at) for i in range(10 * slices)])
    landing = land.land(Settings(slice_max_rows=10), STREAM, spark, "a backlog")
    assert landing.slices >= slices
    broker = int(settings.need("kafka_bootstrap").rpartition(":")[2])
    (pid,) = (row.pid for row in status.rows(settings.home) if row.name == "spark")

    def to_the_broker() -> int:
        return sum(
            c.raddr.port == broker
            for c in psutil.Process(pid).net_connections(kind="tcp")
            if c.raddr and c.status == psutil.CONN_ESTABLISHED
        )

    # Beside those of a landing of another test, perhaps.
    deadline = time.monotonic() + 20
    while (left := to_the_broker()) > slices and time.monotonic() < deadline:
        time.sleep(0.2)
    assert left <= slices
