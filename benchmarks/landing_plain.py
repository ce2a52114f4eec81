"""The plain peer of landing: PySpark with `from_json`, default settings, a JVM of its own.

Belongs here: the script that most people would write. Does not belong here: anything clever.

Run as `python -m benchmarks.landing_plain BOOTSTRAP TOPIC TABLE`.
"""

from __future__ import annotations

import os
import sys
import time

from benchmarks.landing_topic import say
from benchmarks.measuring import cpu

SCHEMA = "source_id STRING, metric STRING, value DOUBLE, measured_at TIMESTAMP"


def main() -> None:
    bootstrap, topic, table = sys.argv[1:]
    began = time.perf_counter()
    from pyspark.sql import SparkSession
    from pyspark.sql.functions import col, from_json

    from de_stack.local import jars

    spark = (
        SparkSession.builder.appName("plain")
        .config("spark.jars", ",".join(map(str, jars.class_path("spark"))))
        .config("spark.sql.extensions", "io.delta.sql.DeltaSparkSessionExtension")
        .config(
            "spark.sql.catalog.spark_catalog", "org.apache.spark.sql.delta.catalog.DeltaCatalog"
        )
        .getOrCreate()
    )
    started = time.perf_counter()
    (
        spark.read.format("kafka")
        .option("kafka.bootstrap.servers", bootstrap)
        .option("subscribe", topic)
        .option("startingOffsets", "earliest")
        .load()
        .withColumn("record", from_json(col("value").cast("string"), SCHEMA))
        .select("partition", "offset", "timestamp", "key", "value", "record.*")
        .toDF("partition", "offset", "timestamp", "key", "raw", *_names())
        .write.format("delta")
        .mode("append")
        .save(table)
    )
    done = time.perf_counter()
    say(
        seconds=done - began,
        cpu=cpu(os.getpid()),
        parts={"start": started - began, "read and write": done - started},
    )
    spark.stop()


def _names() -> list[str]:
    return [column.split()[0] for column in SCHEMA.split(", ")]


if __name__ == "__main__":
    main()
