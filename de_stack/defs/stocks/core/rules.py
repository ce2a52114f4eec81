"""How trades become averages over windows of event time, and bars of a minute.

Belongs here: pure functions from data frame to data frame, the same for a stream and for a table.
Does not belong here: reading, writing, Dagster, the sizes of windows (the contract has them).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_US = timedelta(microseconds=1)
# Where Spark's streaming looks for the watermark of a column.
_DELAY = "spark.watermarkDelayMs"


def moving_average(
    ticks: DataFrame,
    window: timedelta | str,
    slide: timedelta | str | None = None,
    watermark: timedelta | str | None = None,
) -> DataFrame:
    """Per stock and window of event time: average, lowest and highest price, number of trades.

    Args:
        ticks: `stock_name`, `price`, `event_time`; a stream or a table.
        window: length of a window, as a duration or in words (`10 seconds`).
        slide: from the start of one to the start of the next; `window` (tumbling) without it.
        watermark: how far behind the newest event time a stream waits for rows. A table has all its
            rows and none is late: it changes nothing there. The newest `seen_at` counts, where
            `ticks` has one: the event time, but no later than the broker took it.

    Returns:
        `stock_name, window_start, window_end, avg_price, min_price, max_price, count`. A window
        contains its start and not its end; starts are multiples of `slide` since 1970 in UTC.
    """
    sizes = [("", window, window if slide is None else slide)]
    return moving_averages(ticks, sizes, watermark).drop("window_name")


def moving_averages(
    ticks: DataFrame,
    windows: Iterable[tuple[str, timedelta | str, timedelta | str]],
    watermark: timedelta | str | None = None,
) -> DataFrame:
    """Averages over windows of several sizes in one pass, with `window_name` before the others.

    Args:
        ticks: as for `moving_average`.
        windows: name, length and slide of each size.
        watermark: as for `moving_average`.
    """
    from pyspark.sql import functions as f

    delay = None if watermark is None else duration(watermark)
    if delay is not None:
        moment = "seen_at" if "seen_at" in ticks.columns else "event_time"
        ticks = ticks.withWatermark(moment, f"{delay // _US} microseconds")
    found = [w for name, *sizes in windows for w in _windows(name, *map(duration, sizes))]
    each = ticks.select(
        "stock_name",
        "price",
        f.unix_micros("event_time").alias("moment"),
        f.explode(f.array(*found)).alias("found"),
    )
    start, end = f.col("found.start"), f.col("found.end")
    window = f.struct(
        f.timestamp_micros(start).alias("start"), f.timestamp_micros(end).alias("end")
    )
    # Spark's own `window` takes one size per pass: a union of three read and decoded the topic
    # three times, and took 2.5 times as long. What it does beside the arithmetic is to say that
    # the window has the watermark of the time.
    said = {} if delay is None else {"metadata": {_DELAY: delay // timedelta(milliseconds=1)}}
    return (
        each.where(end > f.col("moment"))
        .select(
            f.col("found.window_name").alias("window_name"),
            "stock_name",
            "price",
            window.alias("w", **said),
        )
        .groupBy("window_name", "stock_name", "w")
        .agg(
            f.avg("price").alias("avg_price"),
            f.min("price").alias("min_price"),
            f.max("price").alias("max_price"),
            f.count("price").alias("count"),
        )
        .select(
            "window_name",
            "stock_name",
            f.col("w.start").alias("window_start"),
            f.col("w.end").alias("window_end"),
            "avg_price",
            "min_price",
            "max_price",
            "count",
        )
    )


def trade_totals(ticks: DataFrame) -> DataFrame:
    """Per stock and side, over all trades: `max_price`, `avg_quantity`, `count`."""
    from pyspark.sql import functions as f

    return ticks.groupBy("stock_name", "trade_type").agg(
        f.max("price").alias("max_price"),
        f.avg("quantity").alias("avg_quantity"),
        f.count("price").alias("count"),
    )


def minute_bars(ticks: DataFrame) -> DataFrame:
    """Per stock and minute of event time: first, highest, lowest and last price, shares, trades.

    Args:
        ticks: `stock_name`, `price`, `quantity`, `event_time`, and the broker's `partition` and
            `offset`, which order trades of one moment.

    Returns:
        `stock_name, minute, open, high, low, close, volume, ticks`; no row for a minute without
        trades.
    """
    from pyspark.sql import functions as f

    order = f.struct("event_time", "partition", "offset")
    return ticks.groupBy("stock_name", f.date_trunc("minute", "event_time").alias("minute")).agg(
        f.min_by("price", order).alias("open"),
        f.max("price").alias("high"),
        f.min("price").alias("low"),
        f.max_by("price", order).alias("close"),
        f.sum("quantity").alias("volume"),
        f.count("*").alias("ticks"),
    )


def duration(length: timedelta | str) -> timedelta:
    """A duration from words as Spark's `window` takes them: `10 seconds`, `1 hour`.

    Raises:
        ValueError: not a number and a unit from microseconds to weeks, or below 0.
    """
    if isinstance(length, str):
        try:
            number, unit = length.split()
            found = timedelta(**{unit if unit.endswith("s") else f"{unit}s": float(number)})
        except (ValueError, TypeError) as error:
            msg = f"{length!r} is no duration: write it as `10 seconds`"
            raise ValueError(msg) from error
        length = found
    if length < timedelta(0):
        msg = f"{length} is below 0"
        raise ValueError(msg)
    return length


def _windows(name: str, length: timedelta, slide: timedelta) -> list[Column]:
    """As many windows of one size as can hold a trade: `window_name, start, end`, in microseconds.

    The earliest ends before some trades where the slide does not divide the length.
    """
    from pyspark.sql import functions as f

    size, step = length // _US, slide // _US
    if not 0 < step <= size:
        msg = f"window {length}, slide {slide}: a slide above 0, at most the window"
        raise ValueError(msg)
    moment = f.unix_micros("event_time")
    last = moment - f.pmod(moment, f.lit(step))
    # No lambda (`transform`, `filter`): Spark interprets it. 400,000 trades in six windows each
    # took 2.7 s by lambdas, 0.8 so, 0.6 by Spark's `window`.
    return [
        f.struct(
            f.lit(name).alias("window_name"),
            (last - f.lit(back * step)).alias("start"),
            (last + f.lit(size - back * step)).alias("end"),
        )
        for back in range(-(-size // step))
    ]
