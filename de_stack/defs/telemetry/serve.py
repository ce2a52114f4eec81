"""silver_measures -> stats_measures -> Postgres.

Belongs here: the statistics table, its Delta and its Postgres asset. Does not belong here: the
arithmetic (`core/rules.py`), the daily report (dbt).
"""

from datetime import datetime
from typing import Any

import dagster as dg

from de_stack import naming, partitions
from de_stack.contracts import load_stream
from de_stack.defs.telemetry.core import rules, schema
from de_stack.flow.derive import derive
from de_stack.flow.publish import Published, ServingTable, publish_hours
from de_stack.flow.refine import silver
from de_stack.flow.tables import EVENT_STATS, Table
from de_stack.orchestration.assets import common, event_range, report_derived, row_count
from de_stack.resources.lake import Lake
from de_stack.settings import Settings

MEASURES = load_stream("telemetry.measures")
_LAKE_COLUMNS = (
    *((n, kind, text) for n, kind, _, text in schema.STATS),
    *schema.STATS_LAYOUT,
)
_PG_COLUMNS = tuple((n, kind, text) for n, _, kind, text in schema.STATS)


def stats(settings: Settings) -> Table:
    """The Delta table of five-minute statistics."""
    return Table(
        settings.names.table_id("telemetry", "stats", "measures"),
        Lake(settings).uri("telemetry", "stats", "measures"),
        ", ".join(f"`{name}` {kind}" for name, kind, _ in _LAKE_COLUMNS),
        "event_date",
        EVENT_STATS,
        MEASURES.grain,
    )


def published_stats(settings: Settings) -> str:
    """How the ledger calls the statistics in Postgres."""
    return settings.names.table_id("telemetry", "published", "stats_measures")


def publish_stats(settings: Settings, first: datetime, last: datetime, run_id: str) -> Published:
    """Bring the statistics of event hours first..last to Postgres. Errors: see `publish_hours`."""
    target = ServingTable(
        settings.names.schema("telemetry"),
        "stats_measures",
        _PG_COLUMNS,
        schema.STATS_KEY,
        time_column="window_start",
        grain=MEASURES.grain,
        comment="Telemetry per source, metric and five minutes",
    )
    return publish_hours(
        settings,
        stats(settings),
        target,
        published_stats(settings),
        first,
        last,
        run_id,
    )


@dg.asset(
    **common(
        MEASURES,
        "stats",
        {"spark", "delta"},
        _LAKE_COLUMNS,
        "lake.telemetry.stats_measures",
    ),
    deps=[naming.asset_key("telemetry", "silver", "measures")],
    partitions_def=partitions.event_partitions(MEASURES),
    backfill_policy=dg.BackfillPolicy.single_run(),
    pool="spark",
)
def stats_measures(
    context: dg.AssetExecutionContext,
    settings: dg.ResourceParam[Settings],
    spark: dg.ResourceParam[Any],
) -> dg.MaterializeResult:
    """Per source, metric and five minutes: count, extremes, mean, sample deviation, percentiles."""
    first, last = event_range(context, MEASURES)
    source, target = silver(settings, MEASURES), stats(settings)
    done = derive(
        settings,
        source,
        target,
        first,
        last,
        lambda measures: rules.five_minute_stats(measures, MEASURES.grain),
        lambda: spark.spark_session,
        context.run.run_id,
    )
    report_derived(context, settings, MEASURES, target.table_id)
    return dg.MaterializeResult(
        metadata={
            "rows": done.rows,
            "silver_version": done.source_version,
            "delta_version": done.version,
            **row_count(settings, target),
        }
    )


@dg.asset(
    **common(
        MEASURES,
        "published",
        {"postgres"},
        _PG_COLUMNS,
        "serving.telemetry.stats_measures",
        entity="stats_measures",
    ),
    deps=[naming.asset_key("telemetry", "stats", "measures")],
    partitions_def=partitions.event_partitions(MEASURES),
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def published_stats_measures(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    """The statistics in Postgres, for dashboards: whole hours, in one transaction, never older."""
    first, last = event_range(context, MEASURES)
    done = publish_stats(settings, first, last, context.run.run_id)
    report_derived(context, settings, MEASURES, published_stats(settings))
    return dg.MaterializeResult(
        metadata={
            "rows": done.rows,
            "hours_replaced": done.hours,
            "hours_already_there": done.skipped,
            "stats_version": done.source_version,
            "dagster/row_count": done.total,
        }
    )
