"""Arguments and results that all assets share.

Belongs here: `common` (group, owners, kinds, schema, table name) and result metadata. Does not
belong here: sensors (`ticks.py`), what an asset does.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, TypedDict

import dagster as dg

from de_stack import naming, partitions
from de_stack.contracts import Dataset, Stream
from de_stack.flow.ledger import Ledger
from de_stack.flow.tables import Table
from de_stack.orchestration import spans
from de_stack.resources.lake import Lake
from de_stack.settings import Settings

Columns = Iterable[tuple[str, str, str]]


class Common(TypedDict):
    """Keyword arguments that `@asset` and `AssetSpec` share, typed so that checkers can follow."""

    key: list[str]
    group_name: str
    owners: list[str]
    kinds: set[str]
    metadata: dict[str, Any]


def common(
    stream: Dataset,
    layer: str,
    kinds: set[str],
    columns: Columns,
    table_name: str,
    entity: str | None = None,
) -> Common:
    """Keyword arguments of `@asset` and `AssetSpec` alike; the description is the docstring's."""
    return {
        "key": naming.asset_key(stream.domain, layer, entity or stream.entity),
        "group_name": stream.domain,
        "owners": [stream.owner, f"team:{stream.team}"],
        "kinds": kinds,
        "metadata": {
            "dagster/table_name": table_name,
            "dagster/column_schema": table_schema(columns),
            "contract": f"{stream.name} {stream.version}",
        },
    }


def table_schema(columns: Columns) -> dg.TableSchema:
    """Column schema for the UI from (name, type, description)."""
    return dg.TableSchema(
        columns=[dg.TableColumn(name, kind, description) for name, kind, description in columns]
    )


def row_count(settings: Settings, table: Table) -> dict[str, int]:
    """`dagster/row_count` of a Delta table, from the statistics in its log; nothing is scanned."""
    rows = Lake(settings).row_count(table.uri)
    return {} if rows is None else {"dagster/row_count": rows}


def event_range(context: dg.AssetExecutionContext, stream: Dataset) -> tuple[datetime, datetime]:
    """First and last period that the run computes: its partitions, and what it reaches to."""
    if found := spans.periods_of(context.run.tags, stream.grain):
        return found
    window = context.partition_time_window
    return window.start, partitions.after(window.end, stream.grain, -1)


def report_ingested(
    context: dg.AssetExecutionContext,
    settings: Settings,
    stream: Stream,
    table: Table,
    filled: Iterable[datetime],
) -> None:
    """Tell Dagster of the ingest periods that are landed beside those the run was asked for.

    A landing covers everything from the first row to now, idle periods too. What an earlier run
    landed and was killed before it could say is told here.
    """
    now = partitions.floor(datetime.now(UTC), stream.grain)
    # A broker whose clock is ahead of ours fills a period that Dagster does not have yet.
    filled = {start for start in filled if start <= now}
    first = Ledger(settings).first_ingest(table.table_id)
    starts = filled | ({first} if first and first <= now else set())
    if starts:
        covered = partitions.expand(min(starts), now, stream.grain)
        _report(context, stream.grain, covered, filled)


def report_derived(
    context: dg.AssetExecutionContext, settings: Settings, stream: Dataset, consumer: str
) -> None:
    """Tell Dagster of event periods that were derived and are no partitions of a run.

    Of those that this run has reached over, and of what another one had derived when it was killed
    before it could say so. Periods in which nothing ever landed are none to speak of.
    """
    ledger, (first, last) = Ledger(settings), event_range(context, stream)
    source = settings.names.table_id(stream.domain, "bronze", stream.entity)
    filled = set(ledger.touched_hours(source, None, None))
    applied = filled.intersection(ledger.applied_hours(consumer))
    _report(context, stream.grain, applied, {p for p in applied if first <= p <= last})


def _report(
    context: dg.AssetExecutionContext,
    grain: str,
    covered: Iterable[datetime],
    again: Iterable[datetime] = (),
) -> None:
    """Report what is covered and Dagster does not know, and `again` in any case."""
    known = context.instance.get_materialized_partitions(context.asset_key)
    wanted = {partitions.key(p, grain) for p in covered} - known
    wanted |= {partitions.key(p, grain) for p in again}
    for key in sorted(wanted - set(context.partition_keys)):
        context.log_event(
            dg.AssetMaterialization(
                context.asset_key, partition=key, metadata={"reported_by": context.run.run_id}
            )
        )
