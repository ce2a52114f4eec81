"""A tick of 10,000 rows, from the moment they are in Kafka to the moment Postgres counts them.

Belongs here: the daemon's way, with the time of each step, and the same work in one process. Does
not belong here: backlogs (another workload).
"""

from __future__ import annotations

import json
import os
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

ROWS = 10_000
INTERVAL_SECONDS = 5


def run(rounds: int) -> None:
    os.environ["DE_STACK_SENSOR_INTERVAL_SECONDS"] = str(INTERVAL_SECONDS)
    os.environ["DE_STACK_MART_INTERVAL_SECONDS"] = "86400"
    from de_stack.local import stack
    from de_stack.settings import Settings

    try:
        stack.up(["postgres", "kafka", "spark", "code_server", "daemon"])
        settings = Settings()
        print(f"sensors every {INTERVAL_SECONDS} s; the first round meets a cold Spark server\n")
        for number in range(rounds + 1):
            before = published(settings)
            produce(settings)
            began = time.time()
            while published(settings) < before + ROWS:
                time.sleep(0.1)
                if time.time() - began > 300:
                    raise SystemExit("the rows did not arrive within 300 s")
            arrived = time.time()
            print(f"round {number}: {arrived - began:.1f} s")
            for line in timeline(began):
                print("  " + line)
        warm(settings, rounds)
    finally:
        stack.down(purge=True)


def produce(settings: Any) -> None:
    from kafka import KafkaProducer

    from de_stack.resources.kafka import client_options, ensure_topics

    ensure_topics(settings)
    topic = settings.names.topic("telemetry", "measures")
    producer = KafkaProducer(**client_options(settings), linger_ms=20)
    now = datetime.now(UTC)
    for i in range(ROWS):
        source = f"press-{i % 10:02d}"
        value = {
            "source_id": source,
            "metric": "temperature",
            "value": i / 7,
            "measured_at": (now - timedelta(milliseconds=i)).isoformat(),
        }
        producer.send(
            topic,
            json.dumps(value).encode(),
            key=source.encode(),
            headers=[("ce_id", uuid.uuid4().bytes.hex().encode())],
        )
    producer.flush()
    producer.close()


def published(settings: Any) -> int:
    from de_stack.resources.postgres import Postgres

    with Postgres(settings, "serving").transaction("count") as connection:
        if connection.execute("select to_regclass('telemetry.stats_measures')").fetchone() == (
            None,
        ):
            return 0
        ((total,),) = connection.execute(
            "select coalesce(sum(count), 0) from telemetry.stats_measures"
        ).fetchall()
        return int(total)


def timeline(since: float) -> list[str]:
    """When each run was asked for, started, and what each of its steps took."""
    import dagster as dg

    from de_stack.local.state import load
    from de_stack.setting_sources import default_home

    home = default_home()
    assert load(home)
    os.environ["DAGSTER_HOME"] = str(home / "dagster")
    lines = []
    with dg.DagsterInstance.get() as instance:
        records = [
            r for r in instance.get_run_records() if r.create_timestamp.timestamp() >= since - 1
        ]
        for record in sorted(records, key=lambda r: r.create_timestamp):
            asked = record.create_timestamp.timestamp() - since
            started = (record.start_time or time.time()) - since
            step = record.dagster_run.tags.get("de_stack/step")
            lines.append(f"{step}: asked for at {asked:.1f} s, started at {started:.1f} s")
            for stats in instance.get_run_step_stats(record.dagster_run.run_id):
                if stats.start_time and stats.end_time:
                    lines.append(f"  {stats.step_key}: {stats.end_time - stats.start_time:.1f} s")
    return lines


def warm(settings: Any, rounds: int) -> None:
    """The work alone: the same functions in one warm process."""
    from dagster_pyspark import LazyPySparkResource

    from de_stack import partitions
    from de_stack.contracts import load_stream
    from de_stack.defs.telemetry import serve
    from de_stack.flow.land import land
    from de_stack.flow.refine import refine
    from de_stack.local import stack
    from de_stack.resources.spark import session_config

    stack.stop(["daemon"])
    stream = load_stream("telemetry.measures")
    spark = LazyPySparkResource(spark_config=session_config(settings))
    spark.spark_session.sql("select 1").collect()
    print("\nwork alone, in one warm process:")
    for number in range(rounds):
        produce(settings)
        marks = [time.perf_counter()]
        land(settings, stream, lambda: spark.spark_session, "bench")
        marks.append(time.perf_counter())
        hour = partitions.floor(datetime.now(UTC), "hour")
        refine(settings, stream, hour, hour, lambda: spark.spark_session, "bench")
        marks.append(time.perf_counter())
        serve.STATS.compute(settings, hour, hour, lambda: spark.spark_session, "bench")
        marks.append(time.perf_counter())
        serve.STATS.publish(settings, hour, hour, "bench")
        marks.append(time.perf_counter())
        steps = [b - a for a, b in zip(marks, marks[1:], strict=False)]
        named = zip(("land", "refine", "stats", "publish"), steps, strict=True)
        shown = ", ".join(f"{n} {s:.2f} s" for n, s in named)
        print(f"round {number}: {marks[-1] - marks[0]:.2f} s ({shown})")
    spark.spark_session.stop()
