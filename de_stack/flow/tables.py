"""A Delta table as the flow sees it: name in the ledger, place in the lake, columns.

Belongs here: `Table`, making it, and the SQL text for its period columns. Does not belong here:
reading or writing rows.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from de_stack import partitions
from de_stack.failures import PermanentFailure
from de_stack.naming import split_asset

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from de_stack.resources.lake import Lake
    from de_stack.settings import Settings

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
# (name, Spark type, description): how tables by event period are laid out. `derive` fills the date.
LAYOUT = (
    ("event_hour", "timestamp", "Start of the period that the row belongs to"),
    (
        "event_date",
        "date",
        "The table's folders: the period's day; its month for days, year for months",
    ),
)
_OTHER_MAKER_S = 10.0
_METADATA = "spark.databricks.delta.commitInfo.userMetadata"


@dataclass(frozen=True)
class Table:
    """`ddl` lists all columns; `partitioned_by` is a date column among them."""

    table_id: str
    uri: str
    ddl: str
    partitioned_by: str
    stats: tuple[str, ...]
    grain: str


def place(settings: Settings, domain: str, name: str, grain: str = "hour") -> Table:
    """A table of the lake by its asset's name, as `layer_entity`; without columns, for readers.

    Raises:
        ValueError: not of the form `layer_entity`.
    """
    names, (layer, entity) = settings.names, split_asset(name)
    uri = names.lake_uri(settings.need("lake_uri"), domain, layer, entity)
    return Table(names.table_id(domain, layer, entity), uri, "", "", (), grain)


def create(spark: SparkSession, lake: Lake, table: Table) -> None:
    """Make the table if it is not there. Only features that delta-rs and DuckDB read as well.

    Two makers at once: one wins, the other gets Delta's conflict error, and may go on.

    Raises:
        PermanentFailure: something else lies at its place.
    """
    from pyspark.errors import AnalysisException

    properties = {
        "delta.dataSkippingStatsColumns": ",".join(
            f"`{c}`" if c == "offset" else c for c in table.stats
        ),
        "delta.minReaderVersion": "1",
        "delta.minWriterVersion": "2",
        "delta.enableDeletionVectors": "false",
    }
    listed = ", ".join(f"'{k}' = '{v}'" for k, v in properties.items())
    statement = (
        f"CREATE TABLE IF NOT EXISTS delta.`{path(table.uri)}` ({table.ddl}) USING delta "
        f"PARTITIONED BY ({table.partitioned_by}) TBLPROPERTIES ({listed})"
    )
    end = time.monotonic() + _OTHER_MAKER_S
    while True:
        try:
            spark.sql(statement)
        except AnalysisException as error:
            if "DELTA_CREATE_TABLE_WITH_NON_EMPTY_LOCATION" not in str(error):
                raise
        # In a folder that is not empty, Delta may skip the statement in silence, and our first
        # append would make a table of another layout. Another maker's commit may be on its way.
        if lake.version(table.uri) is not None:
            return
        if time.monotonic() > end:
            raise PermanentFailure(
                f"make table {table.table_id}",
                f"{table.uri} is not empty and no Delta table",
                "look at what lies there, and move it away",
                page="place-taken",
            )
        time.sleep(0.2)


@contextmanager
def saying(session: SparkSession, metadata: str) -> Iterator[None]:
    """User metadata for statements: they take it from the session and from nowhere else."""
    session.conf.set(_METADATA, metadata)
    try:
        yield
    finally:
        session.conf.unset(_METADATA)


def path(uri: str) -> str:
    """A URI between the backticks of Spark SQL."""
    return uri.replace("`", "``")


def folder_of(grain: str, column: str = "event_hour") -> str:
    """Spark SQL of a period's folder, as `partitions.folder` has it."""
    return f"TO_DATE(DATE_TRUNC('{partitions.folder_unit(grain)}', {column}))"


def timestamp(moment: datetime) -> str:
    """Spark SQL literal of a time."""
    return f"TIMESTAMP '{moment:%Y-%m-%d %H:%M:%S}+00:00'"


def event_periods(table: Table, first: datetime, last: datetime) -> str:
    """Spark SQL condition: event periods first..last of a table that is laid out by them."""
    low, high = (partitions.folder(moment, table.grain) for moment in (first, last))
    return (
        f"{table.partitioned_by} >= DATE '{low}' AND {table.partitioned_by} <= DATE '{high}' "
        f"AND event_hour >= {timestamp(first)} AND event_hour <= {timestamp(last)}"
    )


def ingest_periods(grain: str, first: datetime, last: datetime) -> str:
    """Spark SQL condition: ingest periods first..last of a bronze table, whose folders are days."""
    low, high = partitions.days(first, last, grain)
    return (
        f"ingest_date >= DATE '{low}' AND ingest_date <= DATE '{high}' "
        f"AND ingest_hour >= {timestamp(first)} AND ingest_hour <= {timestamp(last)}"
    )
