"""Bronze -> silver, for any stream: typed, good rows only, one row per event.

Belongs here: what is true of every stream. Does not belong here: a domain's own rules, other
layers.

Silver[E] is a pure function of all good bronze rows whose event time is in E.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from de_stack.contracts.schemas import catalogue_columns, spark_ddl
from de_stack.flow.bronze import bronze
from de_stack.flow.derive import Derived, derive
from de_stack.flow.ledger import Ledger
from de_stack.flow.tables import EVENT_STATS, LAYOUT, Table, ingest_periods, timestamp
from de_stack.partitions import late_after
from de_stack.resources.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from de_stack.contracts import Stream
    from de_stack.settings import Settings

# (name, Spark type, description): what every silver table has before the contract's own columns.
IDENTITY = (
    (
        "event_id",
        "string",
        "Identity of the event: the producer's id, else topic id, partition, offset",
    ),
    ("event_hour", "timestamp", "Start of the period that the event time lies in"),
    LAYOUT[1],
    ("broker_time", "timestamp", "When the broker took the row"),
    ("partition", "int", "Kafka partition of the row"),
    ("offset", "bigint", "Kafka offset of the row"),
    (
        "is_late",
        "boolean",
        "The broker took it after the event period's end plus allowed lateness",
    ),
)


def silver_columns(stream: Stream) -> list[tuple[str, str, str]]:
    """All columns of a silver table with their meaning."""
    return [*IDENTITY, *catalogue_columns(stream)]


def silver(settings: Settings, stream: Stream) -> Table:
    """The silver table of a stream."""
    identity = ", ".join(f"`{name}` {kind}" for name, kind, _ in IDENTITY)
    return Table(
        settings.names.table_id(stream.domain, "silver", stream.entity),
        Lake(settings).uri(stream.domain, "silver", stream.entity),
        f"{identity}, {spark_ddl(stream)}",
        "event_date",
        EVENT_STATS,
        stream.grain,
    )


def refine(
    settings: Settings,
    stream: Stream,
    first: datetime,
    last: datetime,
    spark: Callable[[], SparkSession],
    run_id: str,
) -> Derived:
    """Replace silver's event hours first..last by what bronze says now. Errors: see `derive`."""
    source = bronze(settings, stream)

    def select(ledger: Ledger, version: int) -> str:
        # An event hour's rows may lie in any later ingest hour; the ledger knows in which.
        ingest = ledger.ingest_hours(source.table_id, first, last, version)
        if ingest is None:
            return "false"
        return (
            f"error IS NULL AND {ingest_periods(stream.grain, *ingest)} "
            f"AND event_hour >= {timestamp(first)} AND event_hour <= {timestamp(last)}"
        )

    target = silver(settings, stream)
    return derive(
        settings,
        source,
        target,
        first,
        last,
        lambda f: rows(stream, f),
        spark,
        run_id,
        select,
    )


def rows(stream: Stream, good: DataFrame) -> DataFrame:
    """Good bronze rows -> silver rows: the newest of each event id (event, broker time, offset)."""
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    order = [f.desc(c) for c in ("event_time", "broker_time", "partition", "offset")]
    window = Window.partitionBy("event_hour", "event_id").orderBy(*order)
    interval = late_after(stream)
    return (
        good.withColumn("_rank", f.row_number().over(window))
        .where("_rank = 1")
        .select(
            "event_id",
            "event_hour",
            "broker_time",
            "partition",
            "offset",
            f.expr(f"broker_time > event_hour + {interval}").alias("is_late"),
            "record.*",
        )
    )
