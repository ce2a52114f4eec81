"""Counts words in the text files of a folder, as they appear. The first streaming program.

    python docs/examples/streaming/word_count_files.py              # two small files of its own
    python docs/examples/streaming/word_count_files.py FOLDER       # yours, until Ctrl-C

Source: text files. Sink: the console. Output mode `complete`: each batch prints the whole table,
which Spark keeps in its state.

Belongs here: words of a folder. Does not belong here: a socket (`word_count_socket.py`).
"""

from __future__ import annotations

from pathlib import Path

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f
from pyspark.sql.streaming.query import StreamingQuery
from running import arguments, folder, put, say, session


def word_counts(lines: DataFrame) -> DataFrame:
    """(word, count) of a column `value`, most frequent first."""
    words = lines.select(f.explode(f.split(f.trim(f.lower("value")), r"\W+")).alias("word"))
    # Only `complete` may be sorted: it has the whole table at hand.
    return words.where("word <> ''").groupBy("word").count().orderBy(f.desc("count"), "word")


def query(spark: SparkSession, place: Path, sink: str = "console") -> StreamingQuery:
    """Count the words of all files that are or will be in a folder."""
    counts = word_counts(spark.readStream.text(str(place)))
    return counts.writeStream.outputMode("complete").format(sink).queryName("words").start()


def main() -> None:
    """Two files, one after the other; or a folder, until Ctrl-C."""
    parser = arguments(__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="count the words of its files")
    given = parser.parse_args()
    with folder() as made, session(given.remote) as spark:
        if given.remote:
            say("the console is the server's: look into its log")
        if given.folder:
            query(spark, given.folder.resolve(strict=True)).awaitTermination()
            return
        put(made, "first.txt", ["the stream reads what is there", "and the stream goes on"])
        running = query(spark, made)
        running.processAllAvailable()
        say("a second file appears")
        put(made, "second.txt", ["the table grows"])
        running.processAllAvailable()


if __name__ == "__main__":
    main()
