"""How measures become statistics.

Belongs here: pure functions from data frame to data frame. Does not belong here: reading, writing,
Dagster.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

WINDOW = "5 minutes"


def five_minute_stats(measures: DataFrame, grain: str = "hour") -> DataFrame:
    """Per source, metric and tumbling window of 5 minutes: count, extremes, moments, percentiles.

    Percentiles interpolate linearly between the closest ranks (Hyndman & Fan 1996, type 7), the
    standard deviation is that of a sample. Windows divide the hour, so a window never crosses one.
    """
    from pyspark.sql import functions as f

    return (
        measures.groupBy("source_id", "metric", f.window("measured_at", WINDOW).alias("w"))
        .agg(
            f.count("value").alias("count"),
            f.min("value").alias("min"),
            f.max("value").alias("max"),
            f.avg("value").alias("mean"),
            f.stddev_samp("value").alias("stddev"),
            f.percentile("value", f.array(f.lit(0.5), f.lit(0.9), f.lit(0.99))).alias("p"),
        )
        .select(
            "source_id",
            "metric",
            f.col("w.start").alias("window_start"),
            f.col("w.end").alias("window_end"),
            "count",
            "min",
            "max",
            "mean",
            "stddev",
            f.col("p")[0].alias("p50"),
            f.col("p")[1].alias("p90"),
            f.col("p")[2].alias("p99"),
            f.date_trunc(grain, "w.start").alias("event_hour"),
        )
    )


def live_windows(measures: DataFrame, length: timedelta, watermark: timedelta) -> DataFrame:
    """Per source, metric and tumbling window: count, extremes, mean, and the newest value.

    Args:
        measures: a stream (or a table) with the contract's fields.
        length: of a window, e.g. a minute.
        watermark: how far behind the newest measure a stream still waits for others. The newest
            `seen_at` counts, where there is one: `measured_at`, or when the broker took it, if that
            was before.
    """
    from pyspark.sql import functions as f

    moment = "seen_at" if "seen_at" in measures.columns else "measured_at"
    late_ms = watermark // timedelta(milliseconds=1)
    seen = measures.withWatermark(moment, f"{late_ms} milliseconds")
    size = f"{length // timedelta(milliseconds=1)} milliseconds"
    # Spark has the watermark of one column only; this is how it knows that windows of another end
    # by it, too.
    delay = {"spark.watermarkDelayMs": late_ms}
    return (
        seen.withColumn("measured_at", f.col("measured_at").alias("measured_at", metadata=delay))
        .groupBy("source_id", "metric", f.window("measured_at", size).alias("w"))
        .agg(
            f.count("value").alias("count"),
            f.min("value").alias("min"),
            f.max("value").alias("max"),
            f.avg("value").alias("mean"),
            f.max_by("value", "measured_at").alias("last_value"),
            f.max("measured_at").alias("last_measured_at"),
        )
        .select(
            "source_id",
            "metric",
            f.col("w.start").alias("window_start"),
            f.col("w.end").alias("window_end"),
            "count",
            "min",
            "max",
            "mean",
            "last_value",
            "last_measured_at",
        )
    )
