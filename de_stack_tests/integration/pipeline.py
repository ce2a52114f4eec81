"""What tests of a pipeline share: a namespace, producing, running assets, reading results."""

from __future__ import annotations

import contextlib
import json
import os
import time
import uuid
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
import pytest

from de_stack import partitions
from de_stack.contracts import load_stream
from de_stack.flow.ledger_schema import ensure_schema
from de_stack.resources.kafka import Kafka, client_options, ensure_topics
from de_stack.settings import Settings

HOUR = timedelta(hours=1)
CHAIN = ("silver_measures", "stats_measures", "published_stats_measures")


def this_hour() -> datetime:
    """The hour that is open now."""
    return partitions.floor(datetime.now(UTC), "hour")


def an_hour_that_lasts(seconds: float = 120) -> datetime:
    """The open hour, with so many seconds of it left: the next one is waited for if need be.

    For tests that would see two hours where one ends meanwhile; the wait is a part of their time.
    """
    while (left := (this_hour() + HOUR - datetime.now(UTC)).total_seconds()) < seconds:
        time.sleep(max(left, 0.01))
    return this_hour()


def enter_namespace(monkeypatch: pytest.MonkeyPatch, name: str | None = None) -> Settings:
    """Settings of a namespace, by default a new one: its topics and the ledger are there."""
    monkeypatch.setenv("DE_STACK_NAMESPACE", name or f"t{os.urandom(4).hex()}")
    settings = Settings()
    ensure_topics(settings)
    ensure_schema(settings)
    return settings


def measure(source: str, value: float, at: datetime, metric: str = "temperature") -> dict[str, Any]:
    return {"source_id": source, "metric": metric, "value": value, "measured_at": at.isoformat()}


def produce(
    settings: Settings,
    messages: Iterable[dict[str, Any] | bytes],
    ids: Iterable[str | None] | None = None,
) -> None:
    """Send to the measures topic, each with a new event id or the given one; None sends none."""
    from kafka import KafkaProducer

    topic = settings.names.topic("telemetry", "measures")
    producer = KafkaProducer(**client_options(settings))
    given = iter(ids) if ids is not None else None
    for message in messages:
        value = message if isinstance(message, bytes) else json.dumps(message).encode()
        key = message["source_id"].encode() if isinstance(message, dict) else b"bad"
        event_id = next(given) if given else str(uuid.uuid4())
        headers = [("ce_id", event_id.encode())] if event_id else []
        producer.send(topic, value, key=key, headers=headers)
    producer.flush(timeout=30)
    producer.close()


def records(settings: Settings, topic: str, **more: Any) -> list[Any]:
    """All messages of a topic, in the order of each partition; `more` for the consumer."""
    from kafka import KafkaConsumer, TopicPartition

    options = {**client_options(settings), "consumer_timeout_ms": 30_000, **more}
    state = Kafka(settings).topic_state(topic)
    assert state is not None, f"there is no topic {topic}"
    consumer = KafkaConsumer(**options)
    try:
        parts = [TopicPartition(topic, p) for p in state.end]
        consumer.assign(parts)
        consumer.seek_to_beginning()
        wanted = sum(consumer.end_offsets(parts).values())
        found: list[Any] = []
        while len(found) < wanted:
            found.append(next(consumer))
        return found
    finally:
        consumer.close()


def until_committed(settings: Settings, stream: str = "telemetry.measures") -> None:
    """Return when what committed transactions wrote can be read.

    A producer is told that its transaction is committed before the partitions are: on a busy
    machine a landing that comes at once finds nothing, and the next one finds it.
    """
    from kafka.admin import OffsetSpec
    from kafka.structs import TopicPartition

    topic, kafka = settings.names.topic(*load_stream(stream).topic), Kafka(settings)
    deadline = time.monotonic() + 20
    while True:
        state = kafka.topic_state(topic)
        assert state is not None
        parts = {TopicPartition(topic, p): OffsetSpec.LATEST for p in state.end}
        with kafka.admin("look in a test") as client:
            written = client.list_partition_offsets(parts)
        if all(state.end[part.partition] == found.offset for part, found in written.items()):
            return
        assert time.monotonic() < deadline, "a transaction is still open"
        time.sleep(0.1)


def materialize(
    assets: Iterable[str],
    first: datetime | None = None,
    last: datetime | None = None,
    raise_on_error: bool = True,
    instance: dg.DagsterInstance | None = None,
    tags: dict[str, str] | None = None,
    domain: str = "telemetry",
    grain: str = "hour",
) -> dg.ExecuteInProcessResult:
    """Run assets of a domain in this process, as a run of the daemon would."""
    from de_stack.definitions import defs

    tags, key = dict(tags or {}), None
    if first is not None and last is not None and first != last:
        tags |= {
            "dagster/asset_partition_range_start": partitions.key(first, grain),
            "dagster/asset_partition_range_end": partitions.key(last, grain),
        }
    elif first is not None:
        key = partitions.key(first, grain)
    job = defs().resolve_implicit_global_asset_job_def()
    with contextlib.ExitStack() as stack:
        return job.execute_in_process(
            asset_selection=[dg.AssetKey([domain, name]) for name in assets],
            partition_key=key,
            tags=tags,
            instance=instance or stack.enter_context(dg.DagsterInstance.ephemeral()),
            raise_on_error=raise_on_error,
        )


def session(settings: Settings) -> Callable[[], Any]:
    """What gives the flow its Spark session."""
    from de_stack.orchestration.session import LastingSession
    from de_stack.resources.spark import open_session

    lasting = LastingSession(settings)
    return lambda: open_session(settings, lambda: lasting.spark_session)


def metadata(result: dg.ExecuteInProcessResult, asset: str) -> dict[str, Any]:
    """Metadata of the materialization of an asset, as plain values."""
    (event, *_) = result.asset_materializations_for_node(f"telemetry__{asset}")
    return {name: value.value for name, value in event.metadata.items()}


def serving(settings: Settings, sql: str) -> list[tuple[Any, ...]]:
    """Rows from Postgres."""
    from de_stack.resources.postgres import Postgres

    with Postgres(settings, "serving").transaction("read in a test") as connection:
        return connection.execute(sql.encode()).fetchall()
