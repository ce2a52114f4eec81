"""What the broker is told. Belongs here: settings of topics as contracts have them."""

from datetime import timedelta

import pytest

from de_stack.contracts import load_all
from de_stack.contracts.topics import topic_settings
from de_stack_tests.streams import stream


@pytest.mark.parametrize(
    ("retention", "expected"),
    [
        (timedelta(days=7), "604800000"),
        (timedelta(days=365 * 30), "946080000000"),
        (timedelta(milliseconds=1.5), "1"),
        (timedelta(hours=0.1), "360000"),
    ],
)
def test_retention_is_told_in_whole_milliseconds(retention: timedelta, expected: str) -> None:
    assert topic_settings(stream(retention=retention), 3).config["retention.ms"] == expected


def test_the_brokers_clock_and_not_the_producers_stamps_a_message() -> None:
    for contract in load_all().values():
        found = topic_settings(contract, 3)
        assert found.config["message.timestamp.type"] == "LogAppendTime"
        assert found.config["cleanup.policy"] == "delete"
        assert found.partitions == contract.partitions
        assert all(isinstance(value, str) for value in found.config.values())


def test_a_broker_that_has_the_only_copy_acknowledges_what_is_on_its_disk() -> None:
    assert topic_settings(stream(), 1).config["flush.messages"] == "1"
    assert "flush.messages" not in topic_settings(stream(), 3).config
