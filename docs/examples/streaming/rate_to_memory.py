"""Rows at a steady rate into a table in memory, asked by SQL while the query runs.

    python docs/examples/streaming/rate_to_memory.py                # five looks, one a second

Source: `rate`, (timestamp, value) with values 0, 1, 2, ...: load without a system. Sink: `memory`,
a temporary view in the driver. It grows for ever: for looking and for tests.

Belongs here: source and sink that need nothing. Does not belong here: windows of time.
"""

from __future__ import annotations

import time

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.streaming.query import StreamingQuery
from running import arguments, say, session


def even_or_odd(rows: DataFrame) -> DataFrame:
    """Each value, and what it is."""
    return rows.select(
        "value", f.when(f.col("value") % 2 == 0, "even").otherwise("odd").alias("kind")
    )


def query(spark: SparkSession, rows_per_second: int) -> StreamingQuery:
    """Fill the table `rates`."""
    rows = spark.readStream.format("rate").option("rowsPerSecond", rows_per_second).load()
    return even_or_odd(rows).writeStream.format("memory").queryName("rates").start()


def look(spark: SparkSession) -> dict[str, int]:
    """How many values of each kind are there now."""
    rows = spark.sql("SELECT kind, count(*) AS n FROM rates GROUP BY kind ORDER BY kind").collect()
    return {row.kind: row.n for row in rows}


def main() -> None:
    """Look five times."""
    given = arguments(__doc__).parse_args()
    with session(given.remote) as spark:
        query(spark, rows_per_second=100)
        for _ in range(5):
            time.sleep(1)
            say(look(spark))


if __name__ == "__main__":
    main()
