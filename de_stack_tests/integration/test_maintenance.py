"""Compaction and vacuum beside a pipeline: real Spark, real ledger, tables that Spark wrote."""

from datetime import UTC, datetime, timedelta

import pytest

from de_stack import partitions
from de_stack.contracts import load_stream
from de_stack.failures import TransientFailure
from de_stack.flow import derive
from de_stack.flow.bronze import bronze
from de_stack.flow.counts import count
from de_stack.flow.ledger import Ledger
from de_stack.flow.ledger_schema import ensure_schema
from de_stack.flow.maintenance import maintain
from de_stack.flow.refine import refine, silver
from de_stack.resources.kafka import ensure_topics
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import (
    CHAIN,
    materialize,
    measure,
    metadata,
    produce,
    serving,
)

STREAM = load_stream("telemetry.measures")
HOUR = partitions.floor(datetime.now(UTC) - timedelta(hours=3), "hour")


@pytest.fixture
def settings(stack, monkeypatch, request) -> Settings:  # noqa: ANN001
    monkeypatch.setenv("DE_STACK_NAMESPACE", "m" + str(abs(hash(request.node.name)) % 10**9))
    settings = Settings()
    ensure_topics(settings)
    ensure_schema(settings)
    return settings


def send_and_land(settings: Settings, value: float) -> None:
    produce(settings, [measure("a", value, HOUR)])
    assert materialize(["bronze_measures"], partitions.floor(datetime.now(UTC), "hour")).success


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


def test_a_derive_that_maintenance_overtakes_fails_for_a_retry_and_loses_nothing(
    settings, monkeypatch
) -> None:
    from dagster_pyspark import LazyPySparkResource

    from de_stack.resources.spark import session_config

    spark = LazyPySparkResource(spark_config=session_config(settings))
    target = silver(settings, STREAM)
    # Two hours of one day: two files of one folder, which compaction makes one.
    for back in (0, 1):
        produce(settings, [measure("a", float(back), HOUR.replace(hour=10 + back))])
        materialize(["bronze_measures"], partitions.floor(datetime.now(UTC), "hour"))
        refine(
            settings,
            STREAM,
            HOUR.replace(hour=10 + back),
            HOUR.replace(hour=10 + back),
            lambda: spark.spark_session,
            "first",
        )
    assert Lake(settings).size(target.uri).files == 2

    # The commit of a compaction that began before the hour was replaced, and comes after it.
    lake = Lake(settings)
    stale = lake.open(target.uri)
    refine(
        settings, STREAM, HOUR.replace(hour=10), HOUR.replace(hour=10),
        lambda: spark.spark_session, "second",
    )  # fmt: skip
    with monkeypatch.context() as patched:
        real, given = Lake.open, [stale]
        patched.setattr(
            Lake,
            "compact",
            _with_stale(Lake.compact, real, given),
        )
        with pytest.raises(TransientFailure, match="another writer was first"):
            maintain(settings, target, "maintenance")
    assert Lake(settings).size(target.uri).rows == 2
    assert derive.commits.reconcile(Lake(settings), Ledger(settings), target) >= 0
    done = maintain(settings, target, "maintenance")
    assert done is not None
    assert (done.after.files, done.after.rows) == (1, 2)


def _with_stale(compact, real, given):  # noqa: ANN001, ANN202
    """`Lake.compact` on a table that was opened before somebody else committed."""

    def call(self, uri, metadata):  # noqa: ANN001, ANN202
        self.open = lambda _uri, _version=None: given[0]
        try:
            return compact(self, uri, metadata)
        finally:
            self.open = lambda *a: real(self, *a)

    return call
