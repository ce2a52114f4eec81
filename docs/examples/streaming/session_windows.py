"""Session windows: ticks of one stock that follow each other within three seconds are one session.

    python docs/examples/streaming/session_windows.py

A session ends three seconds after its last tick, in event time, and is given when the watermark
has passed that end. After the nine ticks only one has ended for sure; a tenth tick, half a minute
later, closes the others, and its own session stays open for ever if nothing follows.

Belongs here: windows whose length the data decides. Does not belong here: state of one's own
(`vwap_state.py`).
"""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.streaming.query import StreamingQuery
from running import arguments, folder, put, say, session
from ticks import NINE, read_ticks

GAP = "3 seconds"
LATER = "WOW,BUY ,30.10,5,1534849310000,2018-08-21 21:01:50"
TABLE = "sessions"


def per_session(ticks: DataFrame) -> DataFrame:
    """(stock_name, start, end, n) of each session; `end` is the last tick's time and the gap."""
    sessions = ticks.withWatermark("event_time", "5 seconds").groupBy(
        "stock_name", f.session_window("event_time", GAP)
    )
    counts = sessions.agg(f.count("*").alias("n"))
    return counts.select("stock_name", "session_window.start", "session_window.end", "n")


def query(spark: SparkSession, place: Path) -> StreamingQuery:
    """Fill the table `sessions`. In `update` mode session windows are refused."""
    rows = per_session(read_ticks(spark, place))
    return rows.writeStream.outputMode("append").format("memory").queryName(TABLE).start()


def main() -> None:
    """The nine ticks, then one that is later."""
    given = arguments(__doc__).parse_args()
    with folder() as place, session(given.remote) as spark:
        put(place, "nine.csv", NINE)
        running = query(spark, place)
        running.processAllAvailable()
        say("closed after nine ticks:")
        spark.table(TABLE).orderBy("start").show(truncate=False)
        put(place, "later.csv", [LATER])
        running.processAllAvailable()
        say("closed after a tick of 11:01:50:")
        spark.table(TABLE).orderBy("start").show(truncate=False)


if __name__ == "__main__":
    main()
