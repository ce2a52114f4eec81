"""Kafka: topics and their offsets.

Belongs here: client options from settings, topic creation, offset questions, each with a deadline.
Does not belong here: what is done with offsets (`flow.land`), producing (`sources`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure, TransientFailure

if TYPE_CHECKING:
    from de_stack.settings import Settings

DEADLINE_MS = 10_000
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
    options: dict[str, Any] = {
        "bootstrap_servers": settings.need("kafka_bootstrap").split(","),
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_sasl_mechanism:
        password = settings.kafka_sasl_password
        options |= {
            "sasl_mechanism": settings.kafka_sasl_mechanism,
            "sasl_plain_username": settings.kafka_sasl_username,
            "sasl_plain_password": password.get_secret_value() if password else None,
        }
    if settings.kafka_ssl_cafile:
        options["ssl_cafile"] = str(settings.kafka_ssl_cafile)
    return options


def spark_options(settings: Settings) -> dict[str, str]:
    """The same for Spark's Kafka source (Java client names, `kafka.` before each).

    Fetches are sized for a backlog, and an empty fetch waits 10 ms: without that a tick of 10,000
    rows took 3.0 s instead of 1.9.
    """
    options = {
        "kafka.bootstrap.servers": settings.need("kafka_bootstrap"),
        "kafka.security.protocol": settings.kafka_security_protocol,
        "kafka.isolation.level": "read_committed",
        "kafka.fetch.max.wait.ms": "10",
        "kafka.max.partition.fetch.bytes": str(8 << 20),
        "kafka.fetch.max.bytes": str(64 << 20),
        "kafka.max.poll.records": "5000",
        "kafka.receive.buffer.bytes": str(1 << 20),
    }
    if settings.kafka_sasl_mechanism:
        options["kafka.sasl.mechanism"] = settings.kafka_sasl_mechanism
        options["kafka.sasl.jaas.config"] = _jaas(settings)
    if settings.kafka_ssl_cafile:
        options["kafka.ssl.truststore.type"] = "PEM"
        options["kafka.ssl.truststore.location"] = str(settings.kafka_ssl_cafile)
    return options


def _jaas(settings: Settings) -> str:
    scram = (settings.kafka_sasl_mechanism or "").startswith("SCRAM")
    module = (
        "org.apache.kafka.common.security.scram.ScramLoginModule"
        if scram
        else "org.apache.kafka.common.security.plain.PlainLoginModule"
    )
    password = (
        settings.kafka_sasl_password.get_secret_value() if settings.kafka_sasl_password else ""
    )
    quote = {ord("\\"): "\\\\", ord('"'): '\\"'}
    user = (settings.kafka_sasl_username or "").translate(quote)
    return f'{module} required username="{user}" password="{password.translate(quote)}";'


class Kafka:
    """Questions to one cluster. Nothing is opened before the first of them."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    @contextmanager
    def admin(self, tried: str, deadline_ms: int = DEADLINE_MS) -> Iterator[Any]:
        """A kafka-python admin client, closed at the end; its errors become failures.

        Raises:
            TransientFailure: no broker answered within the deadline, or the call timed out.
            PermanentFailure: the broker refused (authentication, authorisation).
        """
        from kafka import KafkaAdminClient
        from kafka import errors as kafka_errors

        address = self._settings.need("kafka_bootstrap")
        client = None
        try:
            client = KafkaAdminClient(
                **client_options(self._settings),
                request_timeout_ms=deadline_ms,
                bootstrap_timeout_ms=deadline_ms,  # type: ignore[call-arg]
            )
            yield client
        except (
            kafka_errors.SaslAuthenticationFailedError,
            kafka_errors.ClusterAuthorizationFailedError,
            kafka_errors.TopicAuthorizationFailedError,
        ) as error:
            raise PermanentFailure(
                tried, f"{address} refused us: {error}", page="access-refused"
            ) from error
        except kafka_errors.KafkaError as error:
            raise TransientFailure(
                tried,
                f"{address}: {type(error).__name__}: {error}",
                f"{self._settings.mending('kafka', 'kafka_bootstrap')}; "
                "a wrong password looks like this too",
                page="system-away",
            ) from error
        finally:
            if client is not None:
                client.close()

    def topic_state(self, topic: str, deadline_ms: int = DEADLINE_MS) -> TopicState | None:
        """Id, first offsets and last stable offsets of a topic; None if there is no such topic.

        The end is the last stable offset, not the high watermark: what an open transaction wrote
        cannot be read yet and must not be counted as landed.
        """
        from kafka.admin import OffsetSpec  # type: ignore[attr-defined]
        from kafka.structs import TopicPartition

        tried = f"read offsets of topic {topic}"
        with self.admin(tried, deadline_ms) as client:
            (info,) = client.describe_topics([topic])
            if info["error_code"] == 3:  # UNKNOWN_TOPIC_OR_PARTITION
                return None
            if info["error_code"]:
                raise TransientFailure(tried, f"metadata error {info['error_code']}")
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
        with self.admin(f"create topic {topic}") as client:
            (info,) = client.describe_topics([topic])
            if info["error_code"]:
                spec = {
                    "num_partitions": partitions,
                    "replication_factor": replicas,
                    "configs": config,
                }
                client.create_topics({topic: spec}, wait_for_metadata=True)
                return ["made"]
            done, there = [], len(info["partitions"])
            if there < partitions:
                client.create_partitions({topic: partitions})
                done.append(f"partitions {there} -> {partitions}")
            return done + _agree(client, topic, config)


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
        topic = settings.names.topic(stream.domain, stream.entity)
        replicas = settings.kafka_replicas
        spec = topic_settings(stream, replicas)
        changes = kafka.ensure_topic(topic, spec.partitions, replicas, spec.config)
        done += [f"topic {topic}: {change}" for change in changes]
    return done
