"""The dbt project's tables as assets, its data tests as asset checks.

Belongs here: dbt's graph in Dagster's words, one run of dbt for whatever was selected. Does not
belong here: SQL (dbt_project), how dbt is run (`resources`).

Each source's log is held against the ledger before dbt starts: a log that was cut, restored or
written by another is refused. Dbt reads exactly the version that was found right; it is recorded
with the table and in the materialization.
"""

from collections.abc import Iterator
from typing import Any

import dagster as dg

from de_stack.contracts import load_all
from de_stack.contracts.dbt import variable, windows
from de_stack.failures import PermanentFailure
from de_stack.flow import commits
from de_stack.flow.ledger import Ledger
from de_stack.flow.tables import place
from de_stack.orchestration.dbt import checks_of, key_of, spec_of
from de_stack.resources import dbt, dbt_process, warehouse
from de_stack.resources.dbt_graph import Model
from de_stack.resources.dbt_process import NodeResult
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings

GRAPH = dbt.graph()


@dg.multi_asset(
    specs=[spec_of(GRAPH, m) for m in GRAPH.models.values()],
    check_specs=checks_of(GRAPH),
    can_subset=True,
    pool="duckdb",
)
def dbt_models(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> Iterator[Any]:
    """Build the selected tables with the views below them and run their tests; one dbt process.

    Raises:
        TransientFailure: somebody else holds the warehouse; dbt was killed, or had no room.
        PermanentFailure: a model or a test failed, a source is not there yet, or its log and the
            ledger disagree.
    """
    wanted = context.selected_asset_check_keys
    models = [m for m in GRAPH.models.values() if key_of(m) in context.selected_asset_keys]
    tests = [c for c in GRAPH.checks if any(_check_key(c.name, m) in wanted for m in c.models)]
    read = models or [GRAPH.models[m] for c in tests for m in c.models]
    if models:
        ids = {u for m in models for u in (m.unique_id, *m.through, *m.sources)}
        arguments = ["build", "--exclude-resource-type", "unit_test"]
    else:
        ids, arguments = {c.unique_id for c in tests}, ["test"]
    arguments += ["--select", *sorted(map(GRAPH.selector, ids))]
    # From the choice of the versions to the last table: who chose older ones must not come later.
    with Postgres(settings, "ledger").lock(
        f"warehouse {settings.need('warehouse_path')}", "run dbt", f"run {context.run.run_id}"
    ):
        versions = _versions(settings, read)
        sources = {
            GRAPH.sources[u].name: (variable(*GRAPH.sources[u].key), *place)
            for u, place in versions.items()
        }
        values = dbt_process.environment(settings, sources) | windows(load_all().values())
        done = dbt_process.execute(settings, arguments, values, dbt.PROJECT)
    results = {result.unique_id: result for result in done}

    for model in models:
        result = results.get(model.unique_id)
        if result and result.ok:
            pinned = {f"{GRAPH.sources[s].key[1]}_version": versions[s][1] for s in model.sources}
            schema = settings.names.schema(model.domain)
            yield dg.MaterializeResult(
                asset_key=key_of(model),
                metadata={
                    "dagster/row_count": warehouse.count(settings, schema, model.name),
                    "seconds": result.seconds,
                    **pinned,
                },
            )
    for check in tests:
        result = results.get(check.unique_id)
        if result and result.status != "skipped":
            for model in check.models:
                if _check_key(check.name, model) in wanted:
                    yield _checked(check.name, model, result)
    if failed := [r for r in results.values() if not r.ok]:
        said = "; ".join(f"{r.unique_id}: {r.status} {r.message}".strip() for r in failed)
        raise dbt_process.failure(
            f"run dbt {arguments[0]}", f"{len(failed)} of {len(results)}: {said}"
        )


def _check_key(name: str, model: str) -> dg.AssetCheckKey:
    return dg.AssetCheckKey(key_of(GRAPH.models[model]), name)


def _checked(name: str, model: str, result: NodeResult) -> dg.AssetCheckResult:
    return dg.AssetCheckResult(
        asset_key=key_of(GRAPH.models[model]),
        check_name=name,
        passed=result.status == "pass",
        severity=(
            dg.AssetCheckSeverity.WARN if result.status == "warn" else dg.AssetCheckSeverity.ERROR
        ),
        metadata={"wrong_rows": result.failures, "message": result.message},
    )


def _versions(settings: Settings, models: list[Model]) -> dict[str, tuple[str, int]]:
    """(place, newest version) of each source that the models read, as the ledger knows it."""
    ledger, found = Ledger(settings), {}
    for uid in sorted({s for m in models for s in m.sources}):
        domain, table = GRAPH.sources[uid].key
        source = place(settings, domain, table)
        version = commits.reconcile(Lake(settings), ledger, source)
        if version < 0:
            raise PermanentFailure(
                f"read {source.uri}",
                "no Delta table is there",
                f"materialize {domain}/{table} first",
                page="no-table-yet",
            )
        found[uid] = (source.uri, version)
    return found
