"""A gold table as two assets: in Delta, and its copy in Postgres.

Belongs here: the factories. Does not belong here: what a gold table is (`flow.gold`), the assets
that every stream has (`stream_assets.py`).
"""

import dagster as dg

from de_stack import naming, partitions
from de_stack.flow.gold import Gold
from de_stack.orchestration.assets import common, event_range, report_derived
from de_stack.orchestration.derived import derived
from de_stack.settings import Settings


def served(gold: Gold) -> dg.AssetsDefinition:
    """The gold table in Delta."""
    return derived(
        gold.stream,
        gold.name,
        naming.asset_name(gold.reads, gold.stream.entity),
        gold.lake_columns,
        gold.description,
        gold.compute,
        gold.table,
        looks_back=gold.looks_back,
    )


def published(gold: Gold) -> dg.AssetsDefinition:
    """The gold table -> Postgres."""
    stream = gold.stream

    @dg.asset(
        **common(
            stream,
            "published",
            {"postgres"},
            gold.serving_columns,
            f"serving.{stream.domain}.{gold.name}",
            entity=gold.name,
        ),
        description=f"{gold.name} in Postgres, for dashboards: whole periods, in one transaction, "
        f"never older.\n\n{gold.description}",
        deps=[naming.asset_key(stream.domain, gold.layer, gold.entity)],
        partitions_def=partitions.event_partitions(stream),
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def asset(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        first, last = event_range(context, stream)
        done = gold.publish(settings, first, last, context.run.run_id)
        report_derived(context, settings, stream, gold.consumer(settings))
        return dg.MaterializeResult(
            metadata={
                "rows": done.rows,
                "hours_replaced": done.hours,
                "hours_already_there": done.skipped,
                f"{gold.layer}_version": done.source_version,
                "dagster/row_count": done.total,
            }
        )

    return asset
