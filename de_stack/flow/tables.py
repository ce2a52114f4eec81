"""A Delta table as the flow sees it: name in the ledger, place in the lake, columns.

Belongs here: `Table`, making it, and the SQL text for its period columns. Does not belong here:
reading or writing rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Columns that readers filter by. Delta keeps statistics for these only: it would take the first 32
# leaf columns otherwise, and a contract that grows past them would read every file in silence.
BRONZE_STATS = (
    "partition",
    "offset",
    "broker_time",
    "ingest_hour",
    "event_time",
    "event_hour",
    "error",
)
EVENT_STATS = ("event_hour",)


@dataclass(frozen=True)
class Table:
    """`ddl` lists all columns; `partitioned_by` is a date column among them."""

    table_id: str
    uri: str
    ddl: str
    partitioned_by: str
    stats: tuple[str, ...]
    grain: str


def create(spark: SparkSession, table: Table) -> None:
    """Make the table if it is not there. Only features that delta-rs and DuckDB read as well.

    Two makers at once: one wins, the other gets Delta's conflict error, and may go on.
    """
    properties = {
        "delta.dataSkippingStatsColumns": ",".join(
            f"`{c}`" if c == "offset" else c for c in table.stats
        ),
        "delta.minReaderVersion": "1",
        "delta.minWriterVersion": "2",
        "delta.enableDeletionVectors": "false",
    }
    listed = ", ".join(f"'{k}' = '{v}'" for k, v in properties.items())
    spark.sql(
        f"CREATE TABLE IF NOT EXISTS delta.`{_path(table.uri)}` ({table.ddl}) USING delta "
        f"PARTITIONED BY ({table.partitioned_by}) TBLPROPERTIES ({listed})"
    )


def _path(uri: str) -> str:
    return uri.replace("`", "``")


def timestamp(moment: datetime) -> str:
    """Spark SQL literal of a time."""
    return f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S}+00:00'"


def periods(column: str, date_column: str, first: datetime, last: datetime) -> str:
    """Spark SQL condition: `column` from first to last; the date column lets Delta skip folders."""
    return (
        f"{date_column} >= DATE '{first:%Y-%m-%d}' AND {date_column} <= DATE '{last:%Y-%m-%d}' "
        f"AND {column} >= {timestamp(first)} AND {column} <= {timestamp(last)}"
    )
