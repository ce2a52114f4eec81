"""Generator -> collector -> Kafka, as processes, on a real broker."""

from __future__ import annotations

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from de_stack.contracts import load_all
from de_stack.contracts.topics import MAX_MESSAGE_BYTES
from de_stack.local import status
from de_stack.resources.accepted import accepted_total
from de_stack.resources.kafka import client_options, ensure_topics
from de_stack.settings import Settings
from de_stack.sources.collector.body import MAX_ID

STREAM = "telemetry.measures"
EVENT = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


@dataclass
class Scene:
    """One collector's place: a namespace, home and port of its own on the session's Kafka."""

    settings: Settings
    env: dict[str, str]
    processes: list[subprocess.Popen] = field(default_factory=list)

    def start(self, *module_and_arguments: str) -> subprocess.Popen:
        """Start one of our programs; it is killed when the test ends."""
        command = [sys.executable, "-m", *module_and_arguments]
        self.processes.append(subprocess.Popen(command, env=self.env))
        return self.processes[-1]

    def collector(self) -> subprocess.Popen:
        """Start a collector and wait until it is healthy."""
        process = self.start("de_stack.sources.collector")
        until = time.monotonic() + 20
        while time.monotonic() < until:
            try:
                url = f"{self.env['DE_STACK_COLLECTOR_URL']}/healthz"
                if httpx.get(url, timeout=5).status_code == 200:
                    return process
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        pytest.fail("the collector did not become healthy")

    def generator(self, *arguments: str) -> subprocess.Popen:
        """Start a generator."""
        return self.start("de_stack.sources.generator", "run", STREAM, *arguments)

    @property
    def topic(self) -> str:
        """The stream's topic in this namespace."""
        stream = load_all()[STREAM]
        return self.settings.names.topic(stream.domain, stream.entity)

    def accepted(self) -> int:
        """How many events the collectors of this place have accepted."""
        return accepted_total(self.settings.home, self.topic)

    def records(self) -> list[Any]:
        """Everything in the topic."""
        from kafka import KafkaConsumer, TopicPartition

        consumer = KafkaConsumer(**client_options(self.settings), consumer_timeout_ms=5000)
        try:
            partitions = range(load_all()[STREAM].partitions)
            parts = [TopicPartition(self.topic, p) for p in partitions]
            consumer.assign(parts)
            consumer.seek_to_beginning()
            wanted = sum(consumer.end_offsets(parts).values())
            found: list[Any] = []
            while len(found) < wanted:
                found.append(next(consumer))
            return found
        finally:
            consumer.close()


@pytest.fixture
def scene(stack: Settings, tmp_path: Path) -> Iterator[Scene]:
    """A place with empty topics."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = stack.model_copy(
        update={"home": tmp_path, "namespace": f"door_{secrets.token_hex(4)}"}
    )
    ensure_topics(settings)
    env = os.environ | {
        "DE_STACK_PROFILE": "external",
        "DE_STACK_HOME": str(tmp_path),
        "DE_STACK_NAMESPACE": settings.namespace,
        "DE_STACK_KAFKA_BOOTSTRAP": settings.need("kafka_bootstrap"),
        "DE_STACK_COLLECTOR_PORT": str(port),
        "DE_STACK_COLLECTOR_URL": f"http://127.0.0.1:{port}",
    }
    scene = Scene(settings, env)
    yield scene
    for process in scene.processes:
        process.kill()
        process.wait()


@contextmanager
def frozen_broker(stack: Settings) -> Iterator[None]:
    """The broker takes connections and bytes, and answers nothing, until the block ends."""
    (pid,) = (row.pid for row in status.rows(stack.home) if row.name == "kafka")
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def ids_of(records: list[Any]) -> list[str]:
    """Event ids of Kafka records."""
    return [dict(r.headers)["ce_id"].decode() for r in records]


def test_every_generated_event_is_in_kafka_once_with_its_key_and_headers(scene: Scene) -> None:
    scene.collector()
    assert scene.generator("--count", "2000", "--rate", "2000", "--seed", "7").wait(30) == 0
    records = scene.records()
    assert len(set(ids_of(records))) == len(records) == 2000
    assert scene.accepted() == 2000
    assert accepted_total(scene.settings.home, STREAM) == 0  # the default namespace's
    for record in records:
        message, headers = json.loads(record.value), dict(record.headers)
        assert record.key.decode() == message["source_id"]
        assert headers["ce_type"] == STREAM.encode()
        assert headers["ce_source"] == b"de_stack/generator"
        assert headers["ce_time"].decode() == message["measured_at"]
        assert headers["content-type"] == b"application/json"
    assert len({r.partition for r in records}) > 1


@pytest.mark.alone
def test_no_accepted_event_is_missing_when_the_collector_is_killed_under_load(
    scene: Scene, stack: Settings
) -> None:
    first = scene.collector()
    generator = scene.generator("--count", "6000", "--rate", "2000")
    while scene.accepted() < 1000:
        time.sleep(0.02)
    with frozen_broker(stack):
        # Nothing is acknowledged: what would be accepted now would die with the collector.
        time.sleep(2)
        first.kill()
        first.wait()
    before = scene.accepted()
    scene.collector()
    assert generator.wait(30) == 0
    records = scene.records()
    assert len(set(ids_of(records))) == 6000
    after = scene.accepted()
    assert 1000 <= before < after
    # What was under way when it died may have been produced, or counted, twice: one batch.
    assert 6000 <= after <= 6000 + 2000
    assert len(records) <= 6000 + 2000


@pytest.mark.alone
def test_a_collector_takes_events_again_after_its_broker_was_silent_for_longer_than_it_waits(
    scene: Scene, stack: Settings
) -> None:
    scene.collector()
    url = f"{scene.env['DE_STACK_COLLECTOR_URL']}/v1/streams/{STREAM}"

    def post(event_id: str) -> int:
        return httpx.post(url, json=[_event(event_id)], headers=BATCH, timeout=15).status_code

    assert post("before") == 202
    with frozen_broker(stack):
        assert post("silent") == 503
    until = time.monotonic() + 30
    while (status_code := post("after")) != 202:
        assert time.monotonic() < until, f"still {status_code}: the producer is not replaced"
        time.sleep(0.2)
    # What was answered with 503 may have arrived, as it says.
    assert set(ids_of(scene.records())) - {"silent"} == {"before", "after"}


@pytest.mark.alone
def test_a_collector_that_is_told_to_stop_finishes_what_it_took_in(
    scene: Scene, stack: Settings
) -> None:
    process = scene.collector()
    url = f"{scene.env['DE_STACK_COLLECTOR_URL']}/v1/streams/{STREAM}"
    accepted: list[str] = []

    def post(name: str) -> None:
        with httpx.Client(timeout=15) as client:
            for n in range(10_000):
                batch = [_event(f"{name}-{n}-{i}") for i in range(20)]
                try:
                    answer = client.post(url, json=batch, headers=BATCH)
                except httpx.TransportError:
                    return
                if answer.status_code == 202:
                    accepted.extend(item["id"] for item in answer.json()["items"])

    threads = [threading.Thread(target=post, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(1.0)
    with frozen_broker(stack):
        # Each request waits for Kafka now: what the signal finds is not acknowledged yet.
        time.sleep(1.0)
        process.send_signal(signal.SIGTERM)
        time.sleep(2.0)
    assert process.wait(15) == 0
    for thread in threads:
        thread.join(20)
    assert len(accepted) > 100
    assert not set(accepted) - set(ids_of(scene.records()))
    assert scene.accepted() == len(accepted)


@pytest.mark.parametrize("source_bytes", [1, 900_000])
def test_the_largest_message_that_the_door_takes_is_taken_by_the_broker_and_one_more_byte_is_413(
    scene: Scene, source_bytes: int
) -> None:
    scene.collector()
    url = f"{scene.env['DE_STACK_COLLECTOR_URL']}/v1/streams/{STREAM}"
    # The longest id and key, in the characters that take most bytes; what is left is the source's
    # or the data's.
    (key,) = load_all()[STREAM].key
    event = _event("\U0001f525" * MAX_ID) | {"source": "s" * source_bytes}
    event["data"][key] = "\U0001f525" * (load_all()[STREAM].field(key).max_length or 0)

    def post(pad: int) -> httpx.Response:
        sent = event | {"data": event["data"] | {"pad": "x" * pad}}
        body = json.dumps(sent, ensure_ascii=False).encode()
        return httpx.post(url, content=body, headers=EVENT, timeout=15)

    assert post(0).status_code == 202
    (record,) = scene.records()
    around = sum(len(name) + len(value) for name, value in record.headers) + len(record.key)
    room = MAX_MESSAGE_BYTES - around - len(record.value)
    assert (post(room).status_code, post(room + 1).status_code) == (202, 413)
    largest = max(len(record.value) for record in scene.records())
    assert around + largest == MAX_MESSAGE_BYTES


def _event(event_id: str) -> dict[str, Any]:
    data = {"source_id": event_id[:2], "metric": "heat", "value": 1.0}
    data["measured_at"] = datetime.now(UTC).isoformat()
    return {"specversion": "1.0", "id": event_id, "source": "test", "type": "t", "data": data}
