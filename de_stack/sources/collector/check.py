"""An item -> the message that goes to Kafka, or the refusal that goes back.

Belongs here: contract, size, key and headers of one item. Does not belong here: HTTP, Kafka.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from de_stack.contracts.envelope import event_headers, message_key
from de_stack.contracts.topics import MAX_MESSAGE_BYTES
from de_stack.sources.collector.body import Item

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.contracts.decode import Decoded

SOURCE = "de_stack/collector"


@dataclass(frozen=True, slots=True)
class Message:
    """What is produced: `value` holds the item's bytes as they came."""

    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]

    @property
    def size(self) -> int:
        """Bytes of all its parts."""
        return len(self.key) + len(self.value) + sum(len(k) + len(v) for k, v in self.headers)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an item cannot be accepted, with the HTTP status that says so."""

    status: int
    code: str
    field: str | None
    reason: str


class Check:
    """The check of one stream."""

    def __init__(self, stream: Stream, decode: Callable[[bytes, datetime], Decoded]) -> None:
        self._stream, self._decode = stream, decode

    def __call__(self, item: Item, received: datetime) -> Message | Refusal:
        """The message of an item, or why there is none."""
        if item.refusal:
            return Refusal(422, *item.refusal)
        # Before it is decoded, so that a huge one costs nothing; with key and headers below.
        if len(item.data) > MAX_MESSAGE_BYTES:
            return _too_large(len(item.data))
        decoded = self._decode(item.data, received)
        if decoded.record is None:
            code = decoded.code or "malformed"
            status = 400 if code == "malformed" else 422
            return Refusal(status, code, decoded.field, decoded.reason or "")
        event_time: datetime = decoded.record[self._stream.event_time]
        message = Message(
            key=message_key(self._stream.key, decoded.record),
            value=item.data,
            headers=event_headers(
                item.id,
                item.source or SOURCE,
                item.type or self._stream.name,
                item.time or event_time.isoformat(),
            ),
        )
        return _too_large(message.size) if message.size > MAX_MESSAGE_BYTES else message


def _too_large(size: int) -> Refusal:
    most = f"at most {MAX_MESSAGE_BYTES} with key and envelope"
    return Refusal(413, "too_large", None, f"{size} bytes, {most}")
