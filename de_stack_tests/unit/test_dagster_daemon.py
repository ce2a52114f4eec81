"""What the daemon sees to before it begins.

Belongs here: limits of pools. Does not belong here: the daemon at work (`faults`).
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from de_stack.definitions import defs
from de_stack.local.dagster_daemon import POOLS, limit_pools


@pytest.fixture
def instance(tmp_path: Path) -> dg.DagsterInstance:
    (tmp_path / "dagster.yaml").write_text("concurrency: {pools: {default_limit: 1}}\n")
    return dg.DagsterInstance.from_config(str(tmp_path))


def limits(instance: dg.DagsterInstance) -> dict[str, int]:
    return {pool.name: pool.limit for pool in instance.event_log_storage.get_pool_limits()}


def test_each_pool_of_the_graph_has_its_limit_before_the_first_run(
    instance: dg.DagsterInstance,
) -> None:
    graph = defs().resolve_asset_graph()
    nodes = (graph.get(key).assets_def.op for key in graph.materializable_asset_keys)
    assert {op.pool for op in nodes if op.pool} == set(POOLS)
    limit_pools(instance)
    assert limits(instance) == dict.fromkeys(POOLS, 1)


def test_a_limit_that_a_person_has_set_stays(instance: dg.DagsterInstance) -> None:
    limit_pools(instance)
    instance.event_log_storage.set_concurrency_slots("spark", 3)
    limit_pools(instance)
    assert limits(instance) == {"spark": 3, "duckdb": 1}
