"""Which old runs may go. Belongs here: runs in a Dagster of the test's own; no service."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from de_stack.orchestration.blocks import STEP_TAG, STREAM_TAG
from de_stack.orchestration.retention import purge

HOURS = dg.StaticPartitionsDefinition(["a", "b"])


@dg.asset(partitions_def=HOURS)
def parts() -> None: ...


@dg.asset
def whole() -> None: ...


@dg.asset_check(asset=whole)
def holds() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset
def fails() -> None:
    raise ValueError


DEFS = dg.Definitions(assets=[parts, whole, fails], asset_checks=[holds])
CHECK = dg.AssetCheckKey(dg.AssetKey("whole"), "holds")
LATER = datetime.now(UTC) + timedelta(days=1)


@pytest.fixture
def instance() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


def run(
    instance: dg.DagsterInstance,
    asset: dg.AssetsDefinition,
    partition: str | None = None,
    tags: dict[str, str] | None = None,
) -> str:
    job = DEFS.resolve_implicit_global_asset_job_def()
    return job.execute_in_process(
        asset_selection=[asset.key],
        partition_key=partition,
        instance=instance,
        tags=tags or {},
        raise_on_error=False,
    ).run_id


def left(instance: dg.DagsterInstance) -> list[str]:
    return [r.dagster_run.run_id for r in instance.get_run_records(ascending=True)]


def test_a_run_stays_while_it_is_the_newest_of_an_asset_or_a_partition(
    instance: dg.DagsterInstance,
) -> None:
    old_a, b, old_whole = (
        run(instance, parts, "a"),
        run(instance, parts, "b"),
        run(instance, whole),
    )
    new_a, new_whole = run(instance, parts, "a"), run(instance, whole)
    assert purge(instance, [CHECK], LATER) == (2, None)
    assert left(instance) == [b, new_a, new_whole]
    assert instance.get_materialized_partitions(parts.key) == {"a", "b"}
    newest = instance.get_latest_materialization_event(whole.key)
    assert newest is not None
    assert newest.run_id == new_whole
    assert old_a != old_whole
    assert instance.all_logs(old_a) == []
    assert purge(instance, [CHECK], LATER) == (0, None)


def test_a_naive_deletion_would_lose_the_status_of_a_partition(
    instance: dg.DagsterInstance,
) -> None:
    only = run(instance, parts, "a")
    instance.delete_run(only)
    assert instance.get_materialized_partitions(parts.key) == set()


def test_young_runs_stay(instance: dg.DagsterInstance) -> None:
    run(instance, fails)
    assert purge(instance, [CHECK], datetime.now(UTC) - timedelta(days=1)) == (0, None)
    assert purge(instance, [CHECK], LATER) == (1, None)


def test_the_last_word_about_a_streams_step_stays(instance: dg.DagsterInstance) -> None:
    tags = {STREAM_TAG: "lab.things", STEP_TAG: "land"}
    run(instance, fails, tags=tags)
    last = run(instance, fails, tags=tags)
    other = run(instance, fails, tags={**tags, STEP_TAG: "derive"})
    assert purge(instance, [], LATER) == (1, None)
    assert left(instance) == [last, other]


def test_a_tick_without_time_goes_on_at_the_next_one(instance: dg.DagsterInstance) -> None:
    kept, _ = run(instance, parts, "a"), run(instance, fails)
    assert purge(instance, [], LATER, budget_s=-1) == (0, None)
    assert purge(instance, [], LATER, cursor=kept) == (1, None)
    assert left(instance) == [kept]
