"""The bulk producer on a real broker: what is acknowledged is there, once; what is not is said."""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter

import pytest

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.resources.kafka import Kafka, client_options
from de_stack.resources.kafka_bulk import bulk_producer
from de_stack.resources.kafka_messages import Message, read_range
from de_stack.settings import Settings
from de_stack_tests.faults.lab import kill, namespace_hidden


@pytest.fixture
def topic(settings: Settings) -> str:
    return settings.names.topic("telemetry", "measures")


def there(settings: Settings, topic: str) -> list[Message]:
    state = Kafka(settings).topic_state(topic)
    assert state is not None
    return list(read_range(settings, topic, state.begin, state.end))


def test_each_acknowledged_message_lies_where_the_acknowledgement_says(settings, topic) -> None:
    places: dict[bytes, tuple[int, int]] = {}

    def remember(value: bytes):  # noqa: ANN202
        return lambda partition, offset: places.__setitem__(value, (partition, offset))

    with bulk_producer(settings, "send in a test") as producer:
        for i in range(3000):
            value = b"%d" % i
            headers = [("ce_id", b"id-%d" % i), ("other", b"")]
            producer.send(topic, b"key-%d" % (i % 7), value, headers, remember(value))
    found = there(settings, topic)
    assert {m.value: (m.partition, m.offset) for m in found} == places
    assert len(found) == 3000
    for key in {m.key for m in found}:
        numbers = [int(m.value or b"") for m in found if m.key == key]
        assert numbers == sorted(numbers), "messages of a key keep their order"
    assert found[0].headers == [("ce_id", b"id-" + (found[0].value or b"")), ("other", b"")]


def test_a_key_has_the_partition_that_it_has_with_the_other_client(settings, topic) -> None:
    from kafka import KafkaProducer

    keys = [b"key-%d" % i for i in range(50)] + [b"\xff\x00", b"x" * 100]
    with bulk_producer(settings, "send in a test") as producer:
        for key in keys:
            producer.send(topic, key, b"bulk", [])
    other = KafkaProducer(**client_options(settings))
    for key in keys:
        other.send(topic, b"plain", key=key)
    other.flush(timeout=30)
    other.close()
    found: dict[bytes | None, set[int]] = {}
    for message in there(settings, topic):
        found.setdefault(message.key, set()).add(message.partition)
    assert found.keys() == set(keys)
    assert all(len(partitions) == 1 for partitions in found.values()), found
    assert len(set.union(*found.values())) == 3, "and the keys use all partitions"


def test_nothing_is_as_good_as_something(settings, topic) -> None:
    with bulk_producer(settings, "send in a test") as producer:
        producer.send(topic, None, None, [])
    (message,) = there(settings, topic)
    assert (message.key, message.value, message.headers) == (None, None, [])


@pytest.mark.parametrize("size", [1_500_000, 2_500_000])
def test_a_message_that_is_too_large_is_refused_for_good(settings, topic, size) -> None:
    with (
        pytest.raises(PermanentFailure, match="send in a test: MSG_SIZE_TOO_LARGE"),
        bulk_producer(settings, "send in a test") as producer,
    ):
        producer.send(topic, b"a", b"x" * size, [])
    assert there(settings, topic) == []


def test_a_topic_that_is_not_there_is_refused_soon_and_is_not_made(settings, topic, capfd) -> None:
    began = time.monotonic()
    with (
        pytest.raises(PermanentFailure, match="UNKNOWN_TOPIC"),
        bulk_producer(settings, "send in a test") as producer,
    ):
        producer.send(f"{topic}.nope", b"a", b"x", [])
    assert time.monotonic() - began < 15
    assert Kafka(settings).topic_state(f"{topic}.nope") is None
    assert capfd.readouterr().err == "", "the library says nothing by itself"


def test_without_a_broker_it_gives_up_in_time_and_says_what_to_look_at(settings, capfd) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    away = Settings(profile="external", kafka_bootstrap=f"127.0.0.1:{port}")
    began = time.monotonic()
    with (
        pytest.raises(TransientFailure, match="DE_STACK_KAFKA_BOOTSTRAP") as caught,
        bulk_producer(away, "send in a test", patience_s=3) as producer,
    ):
        producer.send("t", b"a", b"x", [])
    assert 2 < time.monotonic() - began < 10
    assert f"127.0.0.1:{port}" in str(caught.value), "it names who did not answer"
    assert capfd.readouterr().err == ""


def test_more_than_the_queue_holds_waits_for_a_broker_and_fails_when_none_comes(settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    away = Settings(profile="external", kafka_bootstrap=f"127.0.0.1:{port}")
    sent = 0

    def send_much() -> None:
        nonlocal sent
        with bulk_producer(away, "send in a test", patience_s=3) as producer:
            for _ in range(1_000_000):
                producer.send("t", b"a", b"x" * 1000, [])
                sent += 1

    with pytest.raises(TransientFailure):
        send_much()
    assert 1000 < sent < 100_001, "memory is bounded"


def test_a_block_that_fails_does_not_wait_for_what_it_has_queued(settings) -> None:
    away = Settings(profile="external", kafka_bootstrap="127.0.0.1:1")
    began = time.monotonic()

    def fail() -> None:
        with bulk_producer(away, "send in a test") as producer:
            producer.send("t", b"a", b"x", [])
            raise InterruptedError

    with pytest.raises(InterruptedError):
        fail()
    assert time.monotonic() - began < 5


@pytest.mark.alone
def test_a_broker_that_is_killed_while_messages_flow_loses_and_doubles_none(
    settings, topic
) -> None:
    acknowledged: list[tuple[int, int]] = []
    killer = threading.Timer(1.0, kill, (settings, "kafka"))
    killer.start()
    with bulk_producer(settings, "send in a test") as producer:
        for i in range(40_000):
            producer.send(
                topic, b"key-%d" % (i % 5), b"%d" % i, [], lambda p, o: acknowledged.append((p, o))
            )
            if i % 100 == 0:
                time.sleep(0.01)
    killer.join()
    with namespace_hidden():
        from de_stack.local.stack import up

        up(["kafka"])
    found = there(settings, topic)
    counted = Counter(m.value for m in found)
    assert len(counted) == 40_000
    assert max(counted.values()) == 1
    assert sorted(acknowledged) == sorted((m.partition, m.offset) for m in found)
    for key in {m.key for m in found}:
        numbers = [int(m.value or b"") for m in found if m.key == key]
        assert numbers == sorted(numbers), "messages of a key keep their order"
