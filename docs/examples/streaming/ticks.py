"""The nine ticks of the examples, as a stream that is read from CSV files.

Belongs here: the explicit schema of a line, what a tick looks like once it is typed. Does not
belong here: a query on ticks.

A line is `stockName,tradeType,price,quantity,eventTimeMillis,eventTimeReadable`. It has two traps:
`BUY ` ends in a blank, and the readable time is that of Sydney, so that only the milliseconds say
when it was.
"""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from running import DATA

NINE = (DATA / "nine_ticks.csv").read_text(encoding="utf-8").splitlines()
# A stream is not sampled for its types: without a schema the reader is refused.
SCHEMA = (
    "stock_name STRING, trade_type STRING, price DOUBLE, quantity INT, event_millis LONG, "
    "readable STRING, broken STRING"
)


def read(spark: SparkSession, place: Path) -> DataFrame:
    """Lines of all files that are or will be in a folder; `broken` holds those that do not fit."""
    reader = spark.readStream.schema(SCHEMA).option("columnNameOfCorruptRecord", "broken")
    # By default only the columns are parsed that a query uses, and what is wrong with the others is
    # not seen: a line of five fields passed.
    return reader.option("columnPruning", False).csv(str(place))


def typed(lines: DataFrame) -> DataFrame:
    """(stock_name, trade_type, price, quantity, event_time) of the lines that fit."""
    return lines.where("broken IS NULL").select(
        "stock_name",
        f.trim("trade_type").alias("trade_type"),
        "price",
        "quantity",
        f.timestamp_millis("event_millis").alias("event_time"),
    )


def read_ticks(spark: SparkSession, place: Path) -> DataFrame:
    """The ticks of all files that are or will be in a folder."""
    return typed(read(spark, place))
