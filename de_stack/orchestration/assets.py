"""Arguments and results that all assets share.

Belongs here: `common` (group, owners, kinds, schema, table name) and result metadata. Does not
belong here: sensors (`ticks.py`), what an asset does.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import dagster as dg

from de_stack import naming, partitions
from de_stack.contracts import Stream
from de_stack.flow.tables import Table
from de_stack.resources.lake import Lake
from de_stack.settings import Settings

Columns = Iterable[tuple[str, str, str]]


def common(
    stream: Stream,
    layer: str,
    kinds: set[str],
    columns: Columns,
    table_name: str,
    entity: str | None = None,
) -> dict[str, Any]:
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


def event_range(context: dg.AssetExecutionContext, stream: Stream) -> tuple[datetime, datetime]:
    """First and last period of the run's partitions."""
    window = context.partition_time_window
    return window.start, window.end - partitions.step(stream.grain)


def report_other_partitions(
    context: dg.AssetExecutionContext, keys: Iterable[str], metadata: dict[str, Any]
) -> None:
    """Tell Dagster of partitions that this run has filled although it was asked for others."""
    asked = set(context.partition_keys)
    for key in keys:
        if key not in asked:
            context.log_event(
                dg.AssetMaterialization(context.asset_key, partition=key, metadata=metadata)
            )
