"""Each event once, by its id, though it is sent twice: `dropDuplicatesWithinWatermark`.

    python docs/examples/streaming/deduplication.py

Spark remembers an id until the watermark has passed the time of its event and the delay. So a
repeat is dropped if it comes within that time, whatever its own event time is, and the state stays
small. A repeat that comes later passes: how late a repeat can be is what the watermark has to
cover.

Belongs here: repeats of one id. Does not belong here: late rows of other ids.
"""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.streaming.query import StreamingQuery
from running import arguments, folder, put, say, session

SCHEMA = "event_id STRING, stock_name STRING, event_time TIMESTAMP"
TABLE = "once"
# In one file, in the next one with another time, and (a repeat of e1) when e1 is forgotten.
FILES = (
    ["e1,AGL,2018-08-21T11:01:11Z", "e2,AMC,2018-08-21T11:01:12Z", "e1,AGL,2018-08-21T11:01:11Z"],
    ["e2,AMC,2018-08-21T11:01:14Z", "e3,ANZ,2018-08-21T11:01:16Z"],
    ["e4,WOW,2018-08-21T11:01:50Z"],
    ["e4,WOW,2018-08-21T11:01:50Z", "e1,AGL,2018-08-21T11:01:52Z"],
)


def once(events: DataFrame, delay: str = "5 seconds") -> DataFrame:
    """Events without repeats that come within the delay."""
    return events.withWatermark("event_time", delay).dropDuplicatesWithinWatermark(["event_id"])


def query(spark: SparkSession, place: Path) -> StreamingQuery:
    """Fill the table `once`."""
    place.mkdir(parents=True, exist_ok=True)
    rows = once(spark.readStream.schema(SCHEMA).csv(str(place)))
    return rows.writeStream.format("memory").queryName(TABLE).start()


def ids(spark: SparkSession) -> list[str]:
    """What has passed so far."""
    rows = spark.table(TABLE).orderBy("event_time", f.col("event_id")).collect()
    return [f"{row.event_id} {row.event_time:%H:%M:%S}" for row in rows]


def main() -> None:
    """Four files."""
    given = arguments(__doc__).parse_args()
    with folder() as place, session(given.remote) as spark:
        running = query(spark, place)
        for number, lines in enumerate(FILES):
            put(place, f"{number}.csv", lines)
            running.processAllAvailable()
            say(lines, "->", ids(spark))


if __name__ == "__main__":
    main()
