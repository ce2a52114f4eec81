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
            raise PermanentFailure(tried, f"{address} refused us: {error}") from error
        except kafka_errors.KafkaError as error:
            raise TransientFailure(
                tried,
                f"{address}: {type(error).__name__}: {error}",
                "`de-stack status`, then `de-stack up kafka`; a wrong password looks like this too",
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
    ) -> bool:
        """Create a topic if it is not there; True if it was made now. Partitions only ever grow."""
        with self.admin(f"create topic {topic}") as client:
            (info,) = client.describe_topics([topic])
            if not info["error_code"]:
                if len(info["partitions"]) < partitions:
                    client.create_partitions({topic: partitions})
                return False
            spec = {
                "num_partitions": partitions,
                "replication_factor": replicas,
                "configs": config,
            }
            client.create_topics({topic: spec}, wait_for_metadata=True)
            return True


def ensure_topics(settings: Settings) -> list[str]:
    """Make the topics of all contracts; the names of those that were made now."""
    from de_stack.contracts import load_all
    from de_stack.contracts.topics import topic_settings

    kafka, made = Kafka(settings), []
    for stream in load_all().values():
        topic = settings.names.topic(stream.domain, stream.entity)
        spec = topic_settings(stream)
        if kafka.ensure_topic(topic, spec.partitions, settings.kafka_replicas, spec.config):
            made.append(topic)
    return made
