"""Tumbling windows of four seconds of processing time: when Spark saw a tick, not when it was made.

    python docs/examples/streaming/processing_time_windows.py       # about ten seconds

All rows of a batch get the same time, that of the batch. Spark writes it into the checkpoint, so a
batch that is repeated after a crash falls into the same window. But the same ticks, sent again
another day, give other windows: what must be right later takes event time.

Belongs here: windows of the machine's clock. Does not belong here: windows of event time.
"""

from __future__ import annotations

import time
from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.streaming.query import StreamingQuery
from running import arguments, folder, put, say, session
from ticks import NINE, read_ticks

SECONDS = 4
TABLE = "seen"


def per_window(ticks: DataFrame) -> DataFrame:
    """How many ticks were seen in each window, and the mean of their prices."""
    seen = ticks.withColumn("seen_at", f.current_timestamp())
    windows = seen.groupBy(f.window("seen_at", f"{SECONDS} seconds"), "stock_name")
    counts = windows.agg(f.count("*").alias("n"), f.avg("price").alias("avg_price"))
    return counts.select("window.start", "window.end", "stock_name", "n", "avg_price")


def query(spark: SparkSession, place: Path) -> StreamingQuery:
    """Fill the table `seen`."""
    rows = per_window(read_ticks(spark, place))
    return rows.writeStream.outputMode("complete").format("memory").queryName(TABLE).start()


def main() -> None:
    """Four ticks, five seconds later the other five."""
    given = arguments(__doc__).parse_args()
    with folder() as place, session(given.remote) as spark:
        put(place, "first.csv", NINE[:4])
        running = query(spark, place)
        running.processAllAvailable()
        say("the next ticks come in five seconds")
        time.sleep(SECONDS + 1)
        put(place, "second.csv", NINE[4:])
        running.processAllAvailable()
        spark.table(TABLE).orderBy("start", "stock_name").show(truncate=False)


if __name__ == "__main__":
    main()
