"""An item -> the message that goes to Kafka, with the refusal that goes back where there is one.

Belongs here: contract, size, key and headers of one item. Does not belong here: HTTP, Kafka, what
else an item may look like (`normalise.py`).

A refused item is a message as well: its own bytes, with a header of which landing makes a dead
letter. Only what is too large for a message is not kept.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from de_stack.contracts.csv_line import BadLine, line_reader
from de_stack.contracts.envelope import Headers, event_headers, message_key, rejected_header
from de_stack.contracts.topics import MAX_MESSAGE_BYTES
from de_stack.sources.collector.body import Item

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.contracts.decode import Decoded
    from de_stack.contracts.normalise import Normalise

SOURCE = "de_stack/collector"


@dataclass(frozen=True, slots=True)
class Message:
    """What is produced: `value` holds the item's bytes, as they came but for mended times.

    A refused item has no key where its entity cannot be made out.
    """

    key: bytes | None
    value: bytes
    headers: list[tuple[str, bytes]]

    @property
    def size(self) -> int:
        """Bytes of all its parts."""
        return (
            len(self.key or b"") + len(self.value) + sum(len(k) + len(v) for k, v in self.headers)
        )


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an item cannot be accepted, with the HTTP status that says so."""

    status: int
    code: str
    field: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Checked:
    """What goes to Kafka (None: too large for it), and why it is not accepted (None: it is)."""

    message: Message | None
    refusal: Refusal | None = None


class Check:
    """The check of one stream."""

    def __init__(
        self,
        stream: Stream,
        decode: Callable[[bytes, datetime], Decoded],
        normalise: Normalise = lambda _: None,
    ) -> None:
        self._stream, self._decode, self._normalise = stream, decode, normalise
        self._read_line = line_reader(stream)

    def __call__(self, item: Item, received: datetime) -> Checked:
        """What becomes of an item."""
        # Before it is decoded, so that a huge one costs nothing; with key and headers below.
        if len(item.data) > MAX_MESSAGE_BYTES:
            return Checked(None, _too_large(len(item.data)))
        if item.refusal:
            return self._refused(item, item.data, received, Refusal(422, *item.refusal))
        data, decoded = item.data, self._decode(item.data, received)
        if decoded.record is None and decoded.code != "malformed":
            mended = self._normalise(data)
            if mended is not None:
                data, decoded = mended, self._decode(mended, received)
        if decoded.record is None:
            code = decoded.code or "malformed"
            status = 400 if code == "malformed" else 422
            refusal = Refusal(status, code, decoded.field, decoded.reason or "")
            return self._refused(item, data, received, refusal)
        event_time: datetime = decoded.record[self._stream.event_time]
        message = Message(
            key=message_key(self._stream.key, decoded.record),
            value=data,
            headers=self._headers(item, event_time),
        )
        if message.size > MAX_MESSAGE_BYTES:
            return Checked(None, _too_large(message.size))
        return Checked(message)

    def _headers(self, item: Item, time: datetime) -> Headers:
        return event_headers(
            item.id,
            item.source or SOURCE,
            item.type or self._stream.name,
            item.time or time.isoformat(),
            item.media,
        )

    def _refused(self, item: Item, data: bytes, received: datetime, refusal: Refusal) -> Checked:
        headers = self._headers(item, received)
        if item.refusal and item.refusal[1] == "id":
            # It is cut, or empty: as an identity it could be another event's.
            headers = [header for header in headers if header[0] != "ce_id"]
        error = f"{refusal.code}:{refusal.field or ''}: {refusal.reason}"
        headers.append(rejected_header(self._stream.version, error))
        message = Message(self._key_of(data), item.data, headers)
        if message.size > MAX_MESSAGE_BYTES:
            return Checked(None, _too_large(message.size, f"; refused for {error}"))
        return Checked(message, refusal)

    def _key_of(self, data: bytes) -> bytes | None:
        """The key of a refused item, so that its mended successor stays with its entity."""
        import msgspec

        try:
            item = msgspec.json.decode(self._read_line(data) if self._read_line else data)
        except (BadLine, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        record: dict[str, Any] = {}
        for name in self._stream.key:
            value = item
            for part in self._stream.field(name).path:
                value = value.get(part) if isinstance(value, dict) else None
            if not isinstance(value, str | int) or isinstance(value, bool):
                return None
            record[name] = value
        return message_key(self._stream.key, record)


def _too_large(size: int, why: str = "") -> Refusal:
    most = f"at most {MAX_MESSAGE_BYTES} with key and envelope"
    return Refusal(413, "too_large", None, f"{size} bytes, {most}{why}")
