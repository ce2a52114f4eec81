"""Each tick with the name and sector of its company, from a table that does not stream.

    python docs/examples/streaming/stream_static_join.py

No state and no watermark: each batch is joined by itself. The join is `left`, so that a symbol that
nobody knows is shown and not lost; an inner join would drop its ticks without a word.

Belongs here: a stream and a table. Does not belong here: two streams (`stream_stream_join.py`).
"""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.streaming.query import StreamingQuery
from running import DATA, arguments, folder, put, session
from ticks import NINE, read_ticks

TABLE = "named"
UNKNOWN = "XYZ,BUY ,1.00,1,1534849280000,2018-08-21 21:01:20"


def companies(spark: SparkSession) -> DataFrame:
    """(symbol, company, sector) of the 21 symbols."""
    schema = "symbol STRING, company STRING, sector STRING"
    return spark.read.schema(schema).option("header", True).csv(str(DATA / "companies.csv"))


def named(ticks: DataFrame, table: DataFrame) -> DataFrame:
    """Ticks with `company` and `sector`, null where the symbol is not in the table."""
    # Sent to every task: the stream is not shuffled for 21 rows.
    joined = ticks.join(f.broadcast(table), f.col("stock_name") == f.col("symbol"), "left")
    return joined.drop("symbol")


def query(spark: SparkSession, place: Path) -> StreamingQuery:
    """Fill the table `named`."""
    rows = named(read_ticks(spark, place), companies(spark))
    return rows.writeStream.format("memory").queryName(TABLE).start()


def main() -> None:
    """The nine ticks, and one of an unknown symbol."""
    given = arguments(__doc__).parse_args()
    with folder() as place, session(given.remote) as spark:
        put(place, "ticks.csv", [*NINE, UNKNOWN])
        query(spark, place).processAllAvailable()
        spark.table(TABLE).orderBy("event_time").show(truncate=False)


if __name__ == "__main__":
    main()
