"""Topic settings, from a contract.

Belongs here: partitions and broker-side configuration. Does not belong here: the topic's name
(`naming`), creating it (`resources.kafka`).
"""

from __future__ import annotations

from dataclasses import dataclass

from de_stack.contracts.model import Stream

# Key, value and headers together. Below the broker's default of 1,048,588 for a whole batch and the
# client's of 1,048,576, so that both have room for what they write around a message.
MAX_MESSAGE_BYTES = 1_000_000


@dataclass(frozen=True)
class TopicSettings:
    """What the broker is told about a topic; values as Kafka spells them."""

    partitions: int
    config: dict[str, str]


def topic_settings(stream: Stream) -> TopicSettings:
    """The broker stamps each record (LogAppendTime): no producer's clock may label ingestion."""
    return TopicSettings(
        stream.partitions,
        {
            "retention.ms": str(int(stream.retention.total_seconds() * 1000)),
            "message.timestamp.type": "LogAppendTime",
            "cleanup.policy": "delete",
        },
    )
