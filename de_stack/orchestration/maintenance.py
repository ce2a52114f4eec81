"""The care for Delta tables as assets: one for each table, and the week's schedule.

Belongs here: the factories. Does not belong here: how a table is compacted (`flow.maintenance`),
which tables there are (`defs`).
"""

from collections.abc import Callable, Iterable, Sequence

import dagster as dg

from de_stack import naming
from de_stack.contracts import Dataset, Stream
from de_stack.failures import TransientFailure
from de_stack.flow.bronze import bronze, bronze_columns
from de_stack.flow.continuous.lake_sink import LakeSink
from de_stack.flow.continuous.query import Query
from de_stack.flow.gold import Gold
from de_stack.flow.maintenance import maintain
from de_stack.flow.refine import silver, silver_columns
from de_stack.flow.tables import Table
from de_stack.orchestration.assets import Columns, common
from de_stack.settings import Settings

# Sunday night, UTC.
_WEEKLY = "17 3 * * 0"
_MAX_SECONDS = "7200"
# The next run is a week away. For minutes only: the run keeps Spark's pool, and landing waits.
_RETRIES, _FIRST_WAIT_S = 3, 30.0


def maintained(
    stream: Dataset,
    layer: str,
    columns: Columns,
    table: Callable[[Settings], Table],
    entity: str | None = None,
) -> dg.AssetsDefinition:
    """The asset that keeps one table of a stream quick to read."""
    entity = entity or stream.entity
    name = naming.asset_name(layer, entity)
    options = common(
        stream, "maintained", {"delta"}, columns, f"lake.{stream.domain}.{name}", entity=name
    )

    # In Spark's pool: on one machine no landing and no refining is under way meanwhile, so that
    # neither has to give way. A person's run beside it is fenced by Delta.
    @dg.asset(
        **options,
        description=(
            f"{name} in few big files: small ones are compacted, files of old versions deleted. "
            "Rows stay as they are."
        ),
        deps=[naming.asset_key(stream.domain, layer, entity)],
        pool="spark",
    )
    def asset(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        try:
            done = maintain(settings, table(settings), context.run.run_id)
        except TransientFailure as failure:
            wait = _FIRST_WAIT_S * 2**context.retry_number
            raise dg.RetryRequested(_RETRIES, wait) from failure
        if done is None:
            return dg.MaterializeResult(metadata={"note": "there is no table yet"})
        return dg.MaterializeResult(
            metadata={
                "delta_version": done.version,
                "files_before": done.before.files,
                "files": done.after.files,
                "small_files_before": done.before.small_files,
                "small_files": done.after.small_files,
                "bytes_before": done.before.bytes,
                "bytes": done.after.bytes,
                "files_compacted": done.replaced,
                "files_written": done.written,
                "files_deleted": done.deleted,
                "retention_hours": settings.vacuum_retention_hours,
                "dagster/row_count": done.after.rows,
            }
        )

    return asset


def all_maintained(stream: Stream, golds: Sequence[Gold] = ()) -> list[dg.AssetsDefinition]:
    """The assets that care for a stream's bronze and silver, and for its gold tables."""
    return [
        maintained(stream, "bronze", bronze_columns(stream), lambda s: bronze(s, stream)),
        maintained(stream, "silver", silver_columns(stream), lambda s: silver(s, stream)),
        *maintained_golds(golds),
    ]


def maintained_golds(golds: Sequence[Gold]) -> list[dg.AssetsDefinition]:
    """The assets that care for gold tables."""
    return [maintained(g.stream, g.layer, g.lake_columns, g.table, g.entity) for g in golds]


def maintained_sinks(queries: Iterable[Query]) -> list[dg.AssetsDefinition]:
    """The assets that care for the Delta tables that continuous queries fill, a file a batch."""
    return [
        maintained(query.reads, "live", sink.all_columns, sink.table, sink.entity)
        for query in queries
        if isinstance(sink := query.sink, LakeSink)
    ]


def weekly(domain: str, assets: Sequence[dg.AssetsDefinition]) -> dg.ScheduleDefinition:
    """Runs a domain's maintenance once a week."""
    return dg.ScheduleDefinition(
        name=f"{domain}__maintenance",
        target=dg.AssetSelection.assets(*assets),
        cron_schedule=_WEEKLY,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        tags={"dagster/max_runtime": _MAX_SECONDS},
        description=f"Compacts the Delta tables of {domain} and deletes files of old versions.",
    )
