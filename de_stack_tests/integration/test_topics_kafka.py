"""Topics are made, and kept, as the contracts have them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Sequence
from typing import Any
from unittest import mock

import pytest
from kafka import KafkaAdminClient
from kafka.admin import ConfigResource
from kafka.errors import UnknownBrokerIdError

from de_stack.contracts import load_all
from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.flow.land import waiting
from de_stack.resources.kafka import Kafka, ensure_topics
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import enter_namespace

KEYS = ("retention.ms", "cleanup.policy", "max.message.bytes")


@pytest.fixture
def topic(stack: Settings) -> Iterator[str]:
    """The name of a topic that is not there yet."""
    name = f"topics_{secrets.token_hex(4)}"
    yield name
    with Kafka(stack).admin("delete in a test") as client:
        client.delete_topics([name])


def found(settings: Settings, topic: str, keys: Sequence[str] = KEYS) -> dict[str, str]:
    """What the broker says about a topic."""
    with Kafka(settings).admin("describe in a test") as client:
        asked = ConfigResource("TOPIC", topic, list(keys))
        configs = client.describe_configs([asked], config_filter="all")["topic"][topic]
    return {name: config["value"] for name, config in configs.items()}


def test_a_topic_that_is_there_is_brought_to_what_the_contract_says_and_nothing_else_is_touched(
    stack: Settings, topic: str
) -> None:
    kafka, config = Kafka(stack), {"retention.ms": "1000000", "cleanup.policy": "delete"}
    assert kafka.ensure_topic(topic, 1, 1, config) == ["made"]
    assert kafka.ensure_topic(topic, 1, 1, config) == []
    with kafka.admin("alter in a test") as client:
        by_hand = {"max.message.bytes": "77777", "cleanup.policy": "compact"}
        client.alter_configs([ConfigResource("TOPIC", topic, by_hand)], incremental=True)
    assert kafka.ensure_topic(topic, 2, 1, config | {"retention.ms": "2000000"}) == [
        "partitions 1 -> 2",
        "retention.ms 1000000 -> 2000000",
        "cleanup.policy compact -> delete",
    ]
    assert found(stack, topic) == {
        "retention.ms": "2000000",
        "cleanup.policy": "delete",
        "max.message.bytes": "77777",
    }
    state = kafka.topic_state(topic)
    assert state is not None
    assert len(state.end) == 2


def test_our_one_broker_acknowledges_what_is_on_its_disk(
    stack: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = enter_namespace(monkeypatch)
    topic = settings.names.topic("telemetry", "measures")
    assert found(settings, topic, ["flush.messages"]) == {"flush.messages": "1"}


def test_a_setting_that_the_broker_refuses_or_does_not_know_is_a_failure(
    stack: Settings, topic: str
) -> None:
    kafka = Kafka(stack)
    kafka.ensure_topic(topic, 1, 1, {"retention.ms": "1000000"})
    with pytest.raises(PermanentFailure, match="set.*retention.ms.*Not a number of type LONG"):
        kafka.ensure_topic(topic, 1, 1, {"retention.ms": "long"})
    with pytest.raises(PermanentFailure, match="does not tell us no.such"):
        kafka.ensure_topic(topic, 1, 1, {"no.such": "1"})
    assert found(stack, topic)["retention.ms"] == "1000000"


def test_a_topic_that_is_not_there_is_told_with_the_command_that_makes_it(stack: Settings) -> None:
    nowhere = {"namespace": f"n{secrets.token_hex(4)}"}
    (stream, *_) = load_all().values()
    with pytest.raises(PermanentFailure, match="no such topic.*`de-stack up` makes it"):
        waiting(stack.model_copy(update=nowhere), stream)
    with pytest.raises(PermanentFailure, match="no such topic.*`de-stack init` makes it"):
        waiting(stack.model_copy(update=nowhere | {"profile": "external"}), stream)


def test_what_was_done_to_the_topics_of_the_contracts_is_told(stack: Settings) -> None:
    settings = stack.model_copy(update={"namespace": f"n{secrets.token_hex(4)}"})
    topics = [settings.names.topic(*s.topic) for s in load_all().values()]
    assert ensure_topics(settings) == [f"topic {topic}: made" for topic in topics]
    assert ensure_topics(settings) == []
    with Kafka(settings).admin("alter in a test") as client:
        change = {"retention.ms": "1000000"}
        client.alter_configs([ConfigResource("TOPIC", topics[0], change)], incremental=True)
    (told,) = ensure_topics(settings)
    assert told.startswith(f"topic {topics[0]}: retention.ms 1000000 -> ")


def without_a_leader(times: int) -> Any:
    """Offsets are asked of the broker -1, as while there is no leader, so many times.

    A real election on one broker lasts some milliseconds: with 6,000 partitions, and the broker
    stopped for five seconds, 3 of 1,000 questions met it.
    """
    ask, left = KafkaAdminClient.list_partition_offsets, [times]

    def answer(client: KafkaAdminClient, *args: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] >= 0:
            raise UnknownBrokerIdError(-1)
        return ask(client, *args, **options)

    return mock.patch.object(KafkaAdminClient, "list_partition_offsets", answer)


def test_an_election_is_waited_for_within_the_deadline(stack: Settings, topic: str) -> None:
    kafka = Kafka(stack)
    kafka.ensure_topic(topic, 2, 1, {})
    with without_a_leader(3):
        state = kafka.topic_state(topic)
    assert state is not None
    assert (state.begin, state.end) == ({0: 0, 1: 0}, {0: 0, 1: 0})
    began = time.monotonic()
    with (
        without_a_leader(10**6),
        pytest.raises(TransientFailure, match="a partition has no leader"),
    ):
        kafka.topic_state(topic, 3000)
    assert 3 <= time.monotonic() - began < 15
