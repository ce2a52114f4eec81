"""State of one's own: the volume-weighted average price of each stock since the stream began.

    python docs/examples/streaming/vwap_state.py

`transformWithState` calls a processor per stock and batch, with the rows of that batch; what must
outlive the batch is in its state. Here: the sum of price x quantity and the sum of quantity. The
state store must be RocksDB.

Belongs here: state that no built-in aggregate keeps this way. Does not belong here: windows.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pyspark.sql import DataFrame, Row, SparkSession
from pyspark.sql.streaming.query import StreamingQuery
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle
from running import arguments, folder, put, say, session
from ticks import NINE, read_ticks

ROCKSDB = "org.apache.spark.sql.execution.streaming.state.RocksDBStateStoreProvider"
TABLE = "vwap"


class Vwap(StatefulProcessor):
    """Per stock: sum(price * quantity) / sum(quantity), over all batches."""

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Name the state; it is found again by this name after a restart."""
        self._sums = handle.getValueState("sums", "amount DOUBLE, volume LONG")

    def handleInputRows(self, key, rows, timerValues) -> Iterator[Row]:  # noqa: ANN001, ARG002, N802, N803
        """Add the rows of this batch, give the price of all."""
        amount, volume = self._sums.get() or (0.0, 0)
        for row in rows:
            amount += row.price * row.quantity
            volume += row.quantity
        self._sums.update((amount, volume))
        yield Row(stock_name=key[0], vwap=amount / volume if volume else None, volume=volume)


def vwap(ticks: DataFrame) -> DataFrame:
    """(stock_name, vwap, volume) of each stock that a batch has ticks of."""
    return ticks.groupBy("stock_name").transformWithState(
        Vwap(), "stock_name STRING, vwap DOUBLE, volume LONG", outputMode="Update", timeMode="None"
    )


def query(spark: SparkSession, place: Path) -> StreamingQuery:
    """Fill the table `vwap` with what each batch gives."""
    spark.conf.set("spark.sql.streaming.stateStore.providerClass", ROCKSDB)
    rows = vwap(read_ticks(spark, place))
    return rows.writeStream.outputMode("update").format("memory").queryName(TABLE).start()


def main() -> None:
    """The nine ticks in two files."""
    given = arguments(__doc__).parse_args()
    with folder() as place, session(given.remote) as spark:
        put(place, "first.csv", NINE[:5])
        running = query(spark, place)
        running.processAllAvailable()
        say("after five ticks:")
        spark.table(TABLE).show()
        put(place, "second.csv", NINE[5:])
        running.processAllAvailable()
        say("and after nine; AMC has no new tick and no new row:")
        spark.table(TABLE).show()


if __name__ == "__main__":
    main()
