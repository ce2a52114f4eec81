"""A Delta table that Spark derives from another, by event periods, as an asset.

Belongs here: the factory that silver and gold share. Does not belong here: which tables there are
(`stream_assets.py`, `gold_assets.py`), deriving (`flow.derive`).
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import dagster as dg

from de_stack import naming, partitions
from de_stack.contracts import Dataset
from de_stack.flow.derive import Derived
from de_stack.flow.tables import Table
from de_stack.orchestration.assets import (
    Columns,
    common,
    event_range,
    report_derived,
    row_count,
)
from de_stack.settings import Settings

# (settings, first period, last period, what opens the Spark session, run id)
Compute = Callable[[Settings, datetime, datetime, Callable[[], Any], str], Derived]


def derived(
    dataset: Dataset,
    name: str,
    reads: str,
    columns: Columns,
    description: str,
    compute: Compute,
    table: Callable[[Settings], Table],
    looks_back: int | None = 0,
) -> dg.AssetsDefinition:
    """The asset of a derived table.

    Args:
        dataset: the contract that it comes from.
        name: of the table, `layer_entity`.
        reads: the table that it is derived from, `layer_entity`.
        columns: all columns of the table.
        description: the catalogue entry.
        compute: derives some periods.
        table: the table.
        looks_back: how many periods before its own a period is computed from; None: from all.
    """
    layer, entity = naming.split_asset(name)
    source = reads.partition("_")[0]
    mapping = _mapping(looks_back)

    @dg.asset(
        **common(
            dataset,
            layer,
            {"spark", "delta"},
            columns,
            f"lake.{dataset.domain}.{name}",
            entity=entity,
        ),
        description=description,
        deps=[
            dg.AssetDep(
                naming.asset_key(dataset.domain, *naming.split_asset(reads)),
                partition_mapping=mapping,
            )
        ],
        partitions_def=partitions.event_partitions(dataset),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool="spark",
    )
    def asset(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        spark: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        first, last = event_range(context, dataset)
        done = compute(settings, first, last, lambda: spark.spark_session, context.run.run_id)
        target = table(settings)
        report_derived(context, settings, dataset, target.table_id)
        return dg.MaterializeResult(
            metadata={
                "rows": done.rows,
                f"{source}_version": done.source_version,
                "delta_version": done.version,
                **row_count(settings, target),
            }
        )

    return asset


def _mapping(looks_back: int | None) -> dg.PartitionMapping | None:
    if looks_back is None:
        return dg.AllPartitionMapping()
    if not looks_back:
        return None
    # The first periods of all have none before them.
    return dg.TimeWindowPartitionMapping(
        start_offset=-looks_back, allow_nonexistent_upstream_partitions=True
    )
