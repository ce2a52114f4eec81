"""Compaction and vacuum beside a pipeline: real Spark, real ledger, tables that Spark wrote."""

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from de_stack import partitions
from de_stack.contracts import load_stream
from de_stack.failures import TransientFailure
from de_stack.flow import refine as refine_module
from de_stack.flow.bronze import bronze
from de_stack.flow.counts import count
from de_stack.flow.ledger import Ledger
from de_stack.flow.maintenance import maintain
from de_stack.flow.refine import refine, silver
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import (
    CHAIN,
    materialize,
    measure,
    metadata,
    produce,
    serving,
    this_hour,
)

STREAM = load_stream("telemetry.measures")
HOUR = partitions.floor(datetime.now(UTC) - timedelta(days=1), "hour")


def send_and_land(settings: Settings, value: float) -> None:
    produce(settings, [measure("a", value, HOUR)])
    assert materialize(["bronze_measures"], this_hour()).success


def test_maintenance_changes_no_row_and_nothing_becomes_pending(settings) -> None:
    for i in range(3):
        send_and_land(settings, float(i))
    materialize(CHAIN, HOUR)
    lake, table = Lake(settings), bronze(settings, STREAM)
    before, counted = lake.size(table.uri), count(settings, STREAM)
    rows = lake.query(table.uri, 'select * from t order by partition, "offset"')
    names = [f"maintained_{n}_measures" for n in ("bronze", "silver", "stats")]
    done = materialize(names)
    assert metadata(done, names[0])["files_compacted"] == before.files
    assert lake.size(table.uri).files < before.files
    assert lake.query(table.uri, 'select * from t order by partition, "offset"') == rows
    assert count(settings, STREAM) == counted
    ledger = Ledger(settings)
    silver_id = silver(settings, STREAM).table_id
    assert ledger.pending(silver_id, table.table_id) == []

    # Spark lands, refines and publishes on top of it.
    send_and_land(settings, 9.0)
    assert ledger.pending(silver_id, table.table_id) == [HOUR]
    materialize(CHAIN, HOUR)
    ns = settings.names.schema("telemetry")
    assert serving(settings, f"select sum(count) from {ns}.stats_measures") == [(4,)]


@pytest.fixture
def two_files(settings, spark):  # noqa: ANN001, ANN201
    """Silver with two hours of one day, a file each; (the table, what refines its first hour)."""
    target = silver(settings, STREAM)

    def refine_hour(hour: int) -> None:
        at = HOUR.replace(hour=hour)
        refine(settings, STREAM, at, at, spark, f"hour {hour}")

    for hour in (10, 11):
        produce(settings, [measure("a", float(hour), HOUR.replace(hour=hour))])
        materialize(["bronze_measures"], this_hour())
        refine_hour(hour)
    assert Lake(settings).size(target.uri).files == 2
    return target, lambda: refine_hour(10)


def test_maintenance_that_a_derive_overtakes_fails_for_a_retry_and_loses_nothing(
    settings, two_files, monkeypatch
) -> None:
    target, refine_again = two_files
    # A compaction that began before the hour was replaced, and commits after it.
    stale = Lake(settings).open(target.uri)
    refine_again()
    with monkeypatch.context() as patched:
        patched.setattr(Lake, "compact", _with_stale(Lake.compact, Lake.open, stale))
        with pytest.raises(TransientFailure, match="another writer was first"):
            maintain(settings, target, "maintenance")
    assert Lake(settings).size(target.uri).rows == 2
    done = maintain(settings, target, "maintenance")
    assert done is not None
    assert (done.after.files, done.after.rows) == (1, 2)


def test_a_derive_that_maintenance_overtakes_fails_for_a_retry_and_loses_nothing(
    settings, two_files, monkeypatch, tmp_path
) -> None:
    target, refine_again = two_files
    begun, done = str(tmp_path / "begun"), str(tmp_path / "done")

    def slow(value: float) -> float:
        import pathlib
        import time

        pathlib.Path(begun).touch()
        end = time.monotonic() + 60
        while not pathlib.Path(done).exists() and time.monotonic() < end:
            time.sleep(0.1)
        return value

    def compact() -> None:
        end = time.monotonic() + 60
        while not Path(begun).exists() and time.monotonic() < end:
            time.sleep(0.1)
        found = maintain(settings, target, "maintenance")
        assert found is not None
        assert found.replaced == 2
        Path(done).touch()

    fast = refine_module.rows

    def rows(stream, good):  # noqa: ANN001, ANN202
        from pyspark.sql import functions as f

        return fast(stream, good).withColumn("value", f.udf(slow, "double")("value"))

    tmp_path.chmod(0o777)
    with ThreadPoolExecutor() as pool, monkeypatch.context() as patched:
        patched.setattr(refine_module, "rows", rows)
        compaction = pool.submit(compact)
        with pytest.raises(TransientFailure, match="another writer was first"):
            refine_again()
        compaction.result()
    assert Lake(settings).size(target.uri).rows == 2
    refine_again()
    assert Lake(settings).size(target.uri).rows == 2


def _with_stale(compact, real, stale):  # noqa: ANN001, ANN202
    """`Lake.compact` on a table that was opened before somebody else committed."""

    def call(self, uri, text):  # noqa: ANN001, ANN202
        self.open = lambda *_: stale
        try:
            return compact(self, uri, text)
        finally:
            self.open = lambda *a: real(self, *a)

    return call
