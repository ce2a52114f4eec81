"""What append, update and complete give, on the same nine ticks in three files.

    python docs/examples/streaming/output_modes.py

`complete` gives the whole table after each file, `update` the rows that a file changed, `append`
only what never changes again. So a plain GROUP BY cannot be appended, it never ends: Spark refuses
it. With windows and a watermark it can: a window is given once, when the watermark has passed its
end. The price of it is in the last file: ticks that come after that are dropped. Only the query's
progress says so, and it counts what is left after a first grouping: two ticks of one window and
stock are one.

Belongs here: one aggregate in three modes. Does not belong here: other windows
(`session_windows.py`, `processing_time_windows.py`).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from pyspark.errors import AnalysisException
from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.streaming.query import StreamingQuery
from running import arguments, folder, put, say, session
from ticks import NINE, read_ticks

from de_stack.defs.stocks.core.rules import moving_average

# The tenth tick is half a minute later. It moves the watermark, which closes the windows before it;
# the last two are of one of those.
FILES = (
    *(NINE[first : first + 3] for first in (0, 3, 6)),
    ["WOW,BUY ,30.10,5,1534849310000,2018-08-21 21:01:50"],
    [
        "TLS,SELL,2.95,900,1534849273000,2018-08-21 21:01:13",
        "TLS,SELL,2.96,100,1534849274000,2018-08-21 21:01:14",
    ],
)


class Given(NamedTuple):
    """What came out after a file, and how many groups of its ticks were too late for it."""

    rows: list[Row]
    dropped: int


def per_trade(ticks: DataFrame) -> DataFrame:
    """Highest price and mean quantity per stock and kind of trade, over all time."""
    return ticks.groupBy("stock_name", "trade_type").agg(
        f.max("price").alias("max_price"), f.round(f.avg("quantity"), 3).alias("avg_quantity")
    )


def per_window(ticks: DataFrame) -> DataFrame:
    """Mean price per stock in windows of six seconds; ticks may be five seconds late."""
    averages = moving_average(ticks, "6 seconds", watermark="5 seconds")
    return averages.select("window_start", "stock_name", "avg_price", "count")


def dropped(query: StreamingQuery) -> int:
    """Groups that were older than the watermark so far (in the last hundred batches)."""
    steps = [step for batch in query.recentProgress for step in batch.stateOperators]
    return sum(step.numRowsDroppedByWatermark for step in steps)


def run(spark: SparkSession, place: Path, rows: DataFrame, mode: str) -> list[Given]:
    """What a query gives for each of the files, which are put into `place` one after the other."""
    query = rows.writeStream.outputMode(mode).format("memory").queryName(f"in_{mode}").start()
    given, before, too_late = [], Counter[Row](), 0
    for number, lines in enumerate(FILES):
        put(place, f"{number}.csv", lines)
        query.processAllAvailable()
        table = Counter(spark.table(f"in_{mode}").collect())
        # The memory sink keeps what append and update gave before, and forgets it in complete.
        new = table if mode == "complete" else table - before
        given.append(Given(sorted(new.elements()), dropped(query) - too_late))
        before, too_late = table, dropped(query)
    query.stop()
    return given


def refusal(spark: SparkSession, place: Path) -> str:
    """What Spark says to a GROUP BY without a watermark in append mode."""
    place.mkdir(exist_ok=True)
    rows = per_trade(read_ticks(spark, place))
    try:
        rows.writeStream.outputMode("append").format("memory").queryName("refused").start().stop()
    except AnalysisException as error:
        return str(error).split(";")[0].splitlines()[0]
    return ""


def main() -> None:
    """The three modes."""
    given = arguments(__doc__).parse_args()
    with folder() as place, session(given.remote) as spark:
        for mode, form in (("complete", per_trade), ("update", per_trade), ("append", per_window)):
            say(f"{mode}, {form.__name__}")
            source = place / mode
            source.mkdir()
            given_by_file = run(spark, source, form(read_ticks(spark, source)), mode)
            for number, (rows, late) in enumerate(given_by_file):
                say(
                    f"  file {number + 1}: {len(FILES[number])} ticks in, {len(rows)} rows out",
                    end="",
                )
                say(f", {late} group dropped, too late" if late else "")
                for row in rows:
                    say("   ", *row)
        say("append, per_trade: refused:", refusal(spark, place / "refused"))


if __name__ == "__main__":
    main()
