"""Each trade with the quotes of the same stock in the five seconds before it; two streams.

    python docs/examples/streaming/stream_stream_join.py

Both sides are kept in state until no partner can come any more. That is known because both have a
watermark and the condition bounds the time between them: without the bound the state grows for
ever.

`leftOuter` shows the trade without a quote, but only when that is certain. The watermark of a
query is that of its slowest stream: as long as the quotes are silent, no such trade comes out.

Belongs here: two streams. Does not belong here: a stream and a table (`stream_static_join.py`).
"""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.streaming.query import StreamingQuery
from running import arguments, folder, put, say, session
from ticks import NINE, read_ticks

# Of AGL one second before its trades of 11:01:13 and 11:01:15; of AMC after its first trade; of ANZ
# nine seconds before its first trade, which is too old.
QUOTES = (
    "AGL,26.50,26.60,2018-08-21T11:01:12.070Z",
    "AGL,948.00,948.40,2018-08-21T11:01:14.077Z",
    "AMC,755.40,755.50,2018-08-21T11:01:12.000Z",
    "ANZ,899.00,900.00,2018-08-21T11:01:07.000Z",
)
LATER_TRADE = "WOW,BUY ,30.10,5,1534849310000,2018-08-21 21:01:50"
LATER_QUOTE = "WOW,30.00,30.20,2018-08-21T11:01:48Z"


def read_quotes(spark: SparkSession, place: Path) -> DataFrame:
    """(quoted_stock, bid, ask, quote_time) of all files that are or will be in a folder."""
    place.mkdir(parents=True, exist_ok=True)
    schema = "quoted_stock STRING, bid DOUBLE, ask DOUBLE, quote_time TIMESTAMP"
    return spark.readStream.schema(schema).csv(str(place))


def with_quotes(trades: DataFrame, quotes: DataFrame, how: str) -> DataFrame:
    """One row per trade and quote of its stock, the quote at most five seconds older."""
    condition = f.expr(
        "stock_name = quoted_stock AND quote_time <= event_time "
        "AND quote_time >= event_time - INTERVAL 5 SECONDS"
    )
    left = trades.withWatermark("event_time", "5 seconds")
    right = quotes.withWatermark("quote_time", "5 seconds")
    columns = ("event_time", "stock_name", "price", "bid", "ask", "quote_time")
    return left.join(right, condition, how).select(*columns)


def query(spark: SparkSession, place: Path, how: str) -> StreamingQuery:
    """Fill the table `inner` or `leftOuter` from `place/trades` and `place/quotes`."""
    (place / "trades").mkdir(parents=True, exist_ok=True)
    trades, quotes = read_ticks(spark, place / "trades"), read_quotes(spark, place / "quotes")
    rows = with_quotes(trades, quotes, how)
    return rows.writeStream.format("memory").queryName(how).start()


def show(spark: SparkSession) -> None:
    """Both tables."""
    for how in ("inner", "leftOuter"):
        say(how)
        spark.table(f"`{how}`").orderBy("event_time", "quote_time").show(truncate=False)


def main() -> None:
    """Trades and quotes; a later trade; a later quote."""
    given = arguments(__doc__).parse_args()
    with folder() as place, session(given.remote) as spark:
        running = [query(spark, place, how) for how in ("inner", "leftOuter")]
        for what, stream, lines in (
            ("the nine trades", "trades", NINE),
            ("four quotes", "quotes", QUOTES),
            (
                "a trade of 11:01:50: no quote has come so late, nothing is certain",
                "trades",
                [LATER_TRADE],
            ),
            ("a quote of 11:01:48", "quotes", [LATER_QUOTE]),
        ):
            say(f"--- {what}")
            put(place / stream, f"{len(list((place / stream).iterdir()))}.csv", lines)
            for one in running:
                one.processAllAvailable()
            show(spark)


if __name__ == "__main__":
    main()
