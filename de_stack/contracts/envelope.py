"""What stands around an event in Kafka: its key and its CloudEvents headers.

Belongs here: the one form in which collector, generator and replay write an event. Does not belong
here: the event's own bytes, sending them.
"""

from __future__ import annotations

from typing import Any

Headers = list[tuple[str, bytes]]

# On what a source has refused and sent all the same, so that it becomes a dead letter:
# `<contract version> <code>:<field>: <reason>`.
REJECTED = "de_stack_rejected"
_MOST_REASON = 500


def message_key(names: tuple[str, ...], record: dict[str, Any]) -> bytes:
    """Kafka key of a record: the text of its key field, or a JSON array of several."""
    if len(names) == 1 and isinstance(value := record[names[0]], str):
        return value.encode()
    import msgspec

    values = [record[name] for name in names]
    return msgspec.json.encode(values[0] if len(names) == 1 else values)


def event_headers(
    event_id: str, source: str, kind: str, time: str, media: str = "application/json"
) -> Headers:
    """CloudEvents 1.0 in Kafka's binary mode.

    Args:
        event_id: identity of the event.
        source: who made it.
        kind: the `type`: the stream's name, where the producer gave none.
        time: when it happened, RFC 3339.
        media: content type of the message.
    """
    return [
        ("ce_specversion", b"1.0"),
        ("ce_id", event_id.encode()),
        ("ce_source", source.encode()),
        ("ce_type", kind.encode()),
        ("ce_time", time.encode()),
        ("content-type", media.encode()),
    ]


def rejected_header(version: str, error: str) -> tuple[str, bytes]:
    """The header that makes landing a dead letter of a message.

    Args:
        version: of the contract that refuses it; another one judges the message anew.
        error: `code:field: reason`, as bronze keeps it.
    """
    return REJECTED, f"{version} {error[:_MOST_REASON]}".encode(errors="replace")
