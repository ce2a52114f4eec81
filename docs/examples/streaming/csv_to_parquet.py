"""CSV files with an explicit schema, cleaned and written as Parquet, exactly once.

    python docs/examples/streaming/csv_to_parquet.py

Source: CSV files. Sink: Parquet files, append only. Trigger `availableNow`: takes what is there and
ends. The program runs the query three times on one checkpoint: with the nine ticks and a line of
five fields, with nothing new, with one more file.

Belongs here: files to files. Does not belong here: the form of a line (`ticks.py`).
"""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from running import arguments, folder, put, say, session
from ticks import NINE, read, typed

FIVE_FIELDS = "AGL,BUY ,496.53,233,1534849272066"


def run(spark: SparkSession, place: Path) -> None:
    """Bring what is new in `place/in` to `place/ticks`, and broken lines to `place/broken`."""
    lines = read(spark, place / "in")
    # One query per sink, each with a checkpoint of its own: it is the query's memory.
    # With all columns: a wrong price is seen only where the price is asked for.
    broken = lines.where("broken IS NOT NULL")
    for name, rows in {"ticks": typed(lines), "broken": broken}.items():
        writer = rows.writeStream.trigger(availableNow=True).format("parquet")
        writer = writer.option("checkpointLocation", str(place / f"checkpoint-{name}"))
        writer.start(str(place / name)).awaitTermination()


def written(spark: SparkSession, place: Path, name: str) -> DataFrame:
    """What a sink holds: the files that `_spark_metadata` names, none of a batch that failed."""
    return spark.read.parquet(str(place / name))


def main() -> None:
    """Three runs."""
    given = arguments(__doc__).parse_args()
    with folder() as place, session(given.remote) as spark:
        put(place / "in", "nine.csv", [*NINE, FIVE_FIELDS])
        run(spark, place)
        written(spark, place, "ticks").orderBy("event_time").show(truncate=False)
        written(spark, place, "broken").show(truncate=False)
        run(spark, place)
        say(f"run again: {written(spark, place, 'ticks').count()} ticks, nothing twice")
        put(place / "in", "tenth.csv", ["WOW,BUY ,30.10,5,1534849280000,2018-08-21 21:01:20"])
        run(spark, place)
        say(f"and with one more file: {written(spark, place, 'ticks').count()}")


if __name__ == "__main__":
    main()
