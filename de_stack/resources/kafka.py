"""Kafka: topics and their offsets.

Belongs here: client options from settings, topic creation, offset questions, each with a deadline.
Does not belong here: logging in (`kafka_login.py`), what errors mean (`kafka_answers.py`), what is
done with offsets (`flow.land`), producing (`sources`).
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure
from de_stack.resources.kafka_answers import understood
from de_stack.resources.kafka_login import java_options, python_options

if TYPE_CHECKING:
    from de_stack.settings import Settings

DEADLINE_MS = 10_000
_UNKNOWN = 3  # UNKNOWN_TOPIC_OR_PARTITION
_ELECTION_PAUSE_S = 0.1
_RIGHTS = "allow us DescribeConfigs and AlterConfigs of the topic; the values are the contract's"


@dataclass(frozen=True)
class TopicState:
    """Where a topic stands: its id, and per partition the first offset and the last stable one."""

    topic: str
    topic_id: str
    begin: dict[int, int]
    end: dict[int, int]


def client_options(settings: Settings) -> dict[str, Any]:
    """kafka-python arguments that lead to the cluster of the settings."""
    servers = settings.need("kafka_bootstrap").split(",")
    return {"bootstrap_servers": servers, **python_options(settings)}


def spark_options(settings: Settings) -> dict[str, str]:
    """The same for Spark's Kafka source (Java client names, `kafka.` before each).

    Fetches are sized for a backlog, and an empty fetch waits 10 ms: without that a tick of 10,000
    rows took 3.0 s instead of 1.9.
    """
    options = {
        "bootstrap.servers": settings.need("kafka_bootstrap"),
        **java_options(settings),
        "isolation.level": "read_committed",
        "fetch.max.wait.ms": "10",
        "max.partition.fetch.bytes": str(8 << 20),
        "fetch.max.bytes": str(64 << 20),
        "max.poll.records": "5000",
        "receive.buffer.bytes": str(1 << 20),
    }
    return {f"kafka.{name}": value for name, value in options.items()}


class Kafka:
    """Questions to one cluster. Nothing is opened before the first of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @contextmanager
    def admin(self, tried: str, deadline_ms: int = DEADLINE_MS) -> Iterator[Any]:
        """A kafka-python admin client, closed at the end; its errors become failures.

        Raises:
            TransientFailure: no broker answered within the deadline, or the call timed out.
            PermanentFailure: the broker refused us (password, certificate, rights).
        """
        from de_stack.resources.kafka_admin import Admin

        client = None
        with understood(self._settings, tried):
            try:
                client = Admin(
                    **client_options(self._settings),
                    request_timeout_ms=deadline_ms,
                    bootstrap_timeout_ms=deadline_ms,
                )
                yield client
            finally:
                if client is not None:
                    client.close()

    def topic_state(self, topic: str, deadline_ms: int = DEADLINE_MS) -> TopicState | None:
        """Id, first offsets and last stable offsets of a topic; None if there is no such topic.

        The end is the last stable offset, not the high watermark: what an open transaction wrote
        cannot be read yet and must not be counted as landed. Partitions that have no leader for a
        moment (an election; a broker that slept, with its laptop say) are waited for.

        Args:
            topic: its whole name.
            deadline_ms: how long a broker, and after it leaders, are waited for.

        Raises:
            TransientFailure: no broker answered in time, or a partition stayed without a leader.
            PermanentFailure: the broker refused us.
        """
        from kafka import errors

        tried, until = f"read offsets of topic {topic}", time.monotonic() + deadline_ms / 1000
        while True:
            # Each time a new client: one knows for good which brokers there were as it began.
            with self.admin(tried, deadline_ms) as client:
                try:
                    return _state(client, topic, tried)
                # kafka-python goes to the broker -1 where there is no leader.
                except (
                    errors.UnknownBrokerIdError,  # type: ignore[attr-defined]
                    errors.LeaderNotAvailableError,
                ) as error:
                    if time.monotonic() > until:
                        got = f"a partition has no leader that we know ({error})"
                        raise errors.LeaderNotAvailableError(got) from error
            time.sleep(_ELECTION_PAUSE_S)

    def ensure_topic(
        self, topic: str, partitions: int, replicas: int, config: dict[str, str]
    ) -> list[str]:
        """Make a topic, or make one that is there agree with what is asked for.

        Partitions only ever grow, a topic keeps its replicas, and settings that `config` does not
        name stay as they are.

        Returns:
            What was done, in words; nothing where all was right.

        Raises:
            PermanentFailure: the broker does not let us see or change its settings.
        """
        tried = f"create topic {topic}"
        with self.admin(tried) as client:
            (info,) = client.describe_topics([topic])
            if info["error_code"] == _UNKNOWN:
                spec = {
                    "num_partitions": partitions,
                    "replication_factor": replicas,
                    "configs": config,
                }
                client.create_topics({topic: spec}, wait_for_metadata=True)
                return ["made"]
            _check(info, tried)
            done, there = [], len(info["partitions"])
            if there < partitions:
                client.create_partitions({topic: partitions})
                done.append(f"partitions {there} -> {partitions}")
            return done + _agree(client, topic, config)


def _state(client: Any, topic: str, tried: str) -> TopicState | None:
    """One look at a topic; where a partition has no leader the client's error says so."""
    from kafka.admin import OffsetSpec  # type: ignore[attr-defined]
    from kafka.structs import TopicPartition

    (info,) = client.describe_topics([topic])
    if info["error_code"] == _UNKNOWN:
        return None
    _check(info, tried)
    parts = [TopicPartition(topic, p["partition_index"]) for p in info["partitions"]]
    first = client.list_partition_offsets(dict.fromkeys(parts, OffsetSpec.EARLIEST))
    last = client.list_partition_offsets(
        dict.fromkeys(parts, OffsetSpec.LATEST), isolation_level="read_committed"
    )
    return TopicState(
        topic,
        str(info["topic_id"]),
        {p.partition: first[p].offset for p in parts},
        {p.partition: last[p].offset for p in parts},
    )


def _check(info: dict[str, Any], tried: str) -> None:
    """Raise what a description of a topic says in the place of one."""
    from kafka.errors import for_code

    # A user who may not see a topic is told the same of one that is not there.
    if info["error_code"]:
        raise for_code(info["error_code"])(tried)


def _agree(client: Any, topic: str, config: dict[str, str]) -> list[str]:
    """Set the settings of a topic that differ from `config`; what was changed, in words."""
    from kafka.admin import ConfigResource, ConfigResourceType  # type: ignore[attr-defined]

    # The client raises nothing here: a refused question is an empty answer, a refused change words.
    kind = ConfigResourceType.TOPIC
    asked = ConfigResource(kind, topic, config)
    found = client.describe_configs([asked], config_filter="all")["topic"][topic]
    if unseen := sorted(config.keys() - found.keys()):
        got = f"the broker does not tell us {', '.join(unseen)}"
        raise PermanentFailure(
            f"read the settings of topic {topic}", got, _RIGHTS, page="access-refused"
        )
    wrong = {name: value for name, value in config.items() if found[name]["value"] != value}
    if wrong:
        change = ConfigResource(kind, topic, wrong)
        answer = client.alter_configs([change], raise_on_unknown=False, incremental=True)
        if (got := answer["topic"][topic]) != "OK":
            raise PermanentFailure(
                f"set {wrong} of topic {topic}", got, _RIGHTS, page="access-refused"
            )
    return [f"{name} {found[name]['value']} -> {value}" for name, value in wrong.items()]


def ensure_topics(settings: Settings) -> list[str]:
    """Make the topics of all contracts as the contracts have them; what was done, in words."""
    from de_stack.contracts import load_all
    from de_stack.contracts.topics import topic_settings

    kafka, done = Kafka(settings), []
    for stream in load_all().values():
        topic = settings.names.topic(*stream.topic)
        replicas = settings.kafka_replicas
        spec = topic_settings(stream, replicas)
        changes = kafka.ensure_topic(topic, spec.partitions, replicas, spec.config)
        done += [f"topic {topic}: {change}" for change in changes]
    return done
