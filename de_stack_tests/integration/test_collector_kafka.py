"""Generator -> collector -> Kafka, as processes, on a real broker."""

from __future__ import annotations

import json
import signal
import threading
import time

import httpx
import pytest

from de_stack.contracts import load_all
from de_stack.contracts.topics import MAX_MESSAGE_BYTES
from de_stack.resources.accepted import accepted_total
from de_stack.settings import Settings
from de_stack.sources.collector.body import MAX_ID
from de_stack_tests.integration.scenes import (
    BATCH,
    EVENT,
    STREAM,
    Scene,
    event_of,
    frozen_broker,
    ids_of,
)


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
        return httpx.post(url, json=[event_of(event_id)], headers=BATCH, timeout=15).status_code

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
                batch = [event_of(f"{name}-{n}-{i}") for i in range(20)]
                try:
                    answer = client.post(url, json=batch, headers=BATCH)
                except httpx.TransportError:
                    return
                if answer.status_code == 202:
                    accepted.extend(item["id"] for item in answer.json()["items"])

    threads = [threading.Thread(target=post, args=(f"t{n}",)) for n in range(4)]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 60
    while len(accepted) <= 100 and time.monotonic() < deadline:
        time.sleep(0.05)
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
    event = event_of("\U0001f525" * MAX_ID) | {"source": "s" * source_bytes}
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
