"""topic_measures -> bronze_measures: as it came, each offset once.

Belongs here: the asset. Does not belong here: how slices work (`flow.land`).
"""

from typing import Any

import dagster as dg

from de_stack import naming, partitions
from de_stack.contracts import load_stream
from de_stack.flow.bronze import bronze, bronze_columns
from de_stack.flow.land import land
from de_stack.orchestration.assets import common, report_ingested, row_count
from de_stack.settings import Settings

MEASURES = load_stream("telemetry.measures")


@dg.asset(
    **common(
        MEASURES,
        "bronze",
        {"spark", "delta"},
        bronze_columns(MEASURES),
        "lake.telemetry.bronze_measures",
    ),
    deps=[naming.asset_key("telemetry", "topic", "measures")],
    partitions_def=partitions.ingest_partitions(MEASURES),
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool="spark",
)
def bronze_measures(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    spark: dg.ResourceParam[Any],
) -> dg.MaterializeResult:
    """Every message of the topic, raw and decoded, with its offset and the reason if it is bad.

    A run lands everything up to the topic's end, whatever hour it was asked for, and reports every
    ingest hour that it filled. What has landed is not landed again.
    """
    landing = land(settings, MEASURES, lambda: spark.spark_session, context.run.run_id)
    table = bronze(settings, MEASURES)
    report_ingested(context, settings, MEASURES, table, landing.hours)
    return dg.MaterializeResult(
        metadata={
            "slices": landing.slices,
            "rows_landed": landing.rows,
            "dead_letters": landing.dead,
            **row_count(settings, table),
        }
    )
