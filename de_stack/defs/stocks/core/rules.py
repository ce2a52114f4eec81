"""How trades become averages over windows of event time.

Belongs here: pure functions from data frame to data frame, the same for a stream and for a table.
Does not belong here: reading, writing, Dagster, the sizes of windows (the contract has them).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import reduce
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

Length = timedelta | str


def moving_average(
    ticks: DataFrame,
    window: Length,
    slide: Length | None = None,
    watermark: Length | None = None,
) -> DataFrame:
    """Per stock and window of event time: average, lowest and highest price, number of trades.

    Args:
        ticks: `stock_name`, `price`, `event_time`; a stream or a table.
        window: length of a window, as a duration or as Spark writes one (`10 seconds`).
        slide: from the start of one to the start of the next; `window` (tumbling) without it.
        watermark: how far behind the newest event time a stream waits for rows. A table has all its
            rows and none is late: it changes nothing there.

    Returns:
        `stock_name, window_start, window_end, avg_price, min_price, max_price, count`. A window
        contains its start and not its end; starts are multiples of `slide` since 1970 in UTC.
    """
    from pyspark.sql import functions as f

    if watermark is not None:
        ticks = ticks.withWatermark("event_time", _spark(watermark))
    length, step = _spark(window), _spark(window if slide is None else slide)
    return (
        ticks.groupBy("stock_name", f.window("event_time", length, step).alias("w"))
        .agg(
            f.avg("price").alias("avg_price"),
            f.min("price").alias("min_price"),
            f.max("price").alias("max_price"),
            f.count("price").alias("count"),
        )
        .select(
            "stock_name",
            f.col("w.start").alias("window_start"),
            f.col("w.end").alias("window_end"),
            "avg_price",
            "min_price",
            "max_price",
            "count",
        )
    )


def moving_averages(
    ticks: DataFrame,
    windows: Iterable[tuple[str, Length, Length]],
    watermark: Length | None = None,
) -> DataFrame:
    """Averages over windows of several sizes in one frame, with `window_name` before the others.

    Args:
        ticks: as for `moving_average`.
        windows: name, length and slide of each size.
        watermark: as for `moving_average`.
    """
    from pyspark.sql import functions as f

    return reduce(
        lambda one, other: one.unionByName(other),
        (
            moving_average(ticks, length, slide, watermark).select(
                f.lit(name).alias("window_name"), "*"
            )
            for name, length, slide in windows
        ),
    )


def _spark(length: Length) -> str:
    if isinstance(length, timedelta):
        return f"{length // timedelta(microseconds=1)} microseconds"
    return length
