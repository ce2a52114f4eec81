"""dbt's graph in Dagster's words: keys, catalogue entries, checks, the copies in Postgres.

Belongs here: `Graph` -> specs and assets. Does not belong here: the run of dbt (`defs.dbt_models`),
how a mart is copied (`flow.marts`).
"""

import dagster as dg

from de_stack import naming
from de_stack.failures import PermanentFailure
from de_stack.flow.marts import publish_mart
from de_stack.orchestration.assets import table_schema
from de_stack.resources.dbt_graph import Graph, Model
from de_stack.settings import Settings


def key_of(model: Model) -> dg.AssetKey:
    """Asset key of a table.

    Raises:
        ValueError: its name does not follow the grammar (`mart_...`).
    """
    layer, _, entity = model.name.partition("_")
    return dg.AssetKey(naming.asset_key(model.domain, layer, entity))


def spec_of(graph: Graph, model: Model) -> dg.AssetSpec:
    """The catalogue entry of a table; it depends on tables and sources, never on views."""
    above = [key_of(graph.models[p]) for p in model.parents]
    above += [dg.AssetKey(graph.sources[s].key) for s in model.sources]
    return dg.AssetSpec(
        key_of(model),
        deps=above,
        description=model.description,
        group_name=model.domain,
        owners=list(model.owners),
        kinds={"dbt", "duckdb"},
        code_version=model.checksum[:12],
        metadata={
            "dagster/table_name": f"warehouse.{model.domain}.{model.name}",
            "dagster/column_schema": table_schema(model.columns),
        },
    )


def checks_of(graph: Graph) -> list[dg.AssetCheckSpec]:
    """One check for each data test and table at which it is shown."""
    return [
        dg.AssetCheckSpec(check.name, asset=key_of(graph.models[m]), description=check.description)
        for check in graph.checks
        for m in check.models
    ]


def published(graph: Graph, model: Model) -> dg.AssetsDefinition:
    """The asset that copies one mart to Postgres.

    Raises:
        PermanentFailure: it reads several sources, so no one version tells whether it is newer.
    """
    if len(model.sources) != 1:
        raise PermanentFailure(
            f"publish {model.name}",
            f"it reads {len(model.sources)} sources",
            "read exactly one",
            page="mart",
        )
    source = graph.sources[model.sources[0]].name

    @dg.asset(
        key=naming.asset_key(model.domain, "published", model.name),
        deps=[key_of(model)],
        description=f"The mart in Postgres, replaced in one transaction.\n\n{model.description}",
        group_name=model.domain,
        owners=list(model.owners),
        kinds={"postgres"},
        metadata={
            "dagster/table_name": f"serving.{model.domain}.{model.name}",
            "dagster/column_schema": table_schema(model.columns),
        },
        pool="duckdb",
    )
    def copy(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        consumer = settings.names.table_id(model.domain, "published", model.name)
        done = publish_mart(settings, model, source, consumer, context.run.run_id)
        return dg.MaterializeResult(
            metadata={
                "rows": done.rows,
                "source_version": done.source_version,
                "already_there": bool(done.skipped),
                "dagster/row_count": done.total,
            }
        )

    return copy
