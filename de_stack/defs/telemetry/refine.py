"""bronze_measures -> silver_measures: typed, one row per event.

Belongs here: the asset. Does not belong here: how hours are replaced (`flow.refine`).
"""

from typing import Any

import dagster as dg

from de_stack import naming, partitions
from de_stack.contracts import load_stream
from de_stack.flow.refine import refine, silver, silver_columns
from de_stack.orchestration.assets import common, event_range, report_derived, row_count
from de_stack.settings import Settings

MEASURES = load_stream("telemetry.measures")


@dg.asset(
    **common(
        MEASURES,
        "silver",
        {"spark", "delta"},
        silver_columns(MEASURES),
        "lake.telemetry.silver_measures",
    ),
    # Any ingest hour may hold a row of any event hour; the ledger narrows it down at run time.
    deps=[
        dg.AssetDep(
            naming.asset_key("telemetry", "bronze", "measures"),
            partition_mapping=dg.AllPartitionMapping(),
        )
    ],
    partitions_def=partitions.event_partitions(MEASURES),
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool="spark",
)
def silver_measures(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    spark: dg.ResourceParam[Any],
) -> dg.MaterializeResult:
    """One typed row per event, by the hour in which it was measured.

    A pure function of all good bronze rows of the event hour: running it again changes nothing, and
    a late row repairs its hour.
    """
    first, last = event_range(context, MEASURES)
    done = refine(settings, MEASURES, first, last, lambda: spark.spark_session, context.run.run_id)
    table = silver(settings, MEASURES)
    report_derived(context, settings, MEASURES, table.table_id)
    return dg.MaterializeResult(
        metadata={
            "rows": done.rows,
            "bronze_version": done.source_version,
            "delta_version": done.version,
            **row_count(settings, table),
        }
    )
