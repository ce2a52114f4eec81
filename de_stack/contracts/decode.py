"""Bytes of a message -> a typed record, or a code and a field that say why not.

Belongs here: the strict decoder that the collector's door and the landing share, so that the two can
never disagree. Does not belong here: Kafka, Spark, what happens to a bad message.

Strict means: NaN, 1e400, trailing bytes, a missing required field, a duplicate key, a year over 9999,
a time without a zone are all errors. Unknown fields pass (the raw message keeps them).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Annotated, Any

from de_stack.contracts.model import Field, Stream

Decode = Callable[[bytes | None, datetime], "Decoded"]
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]+)`")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Outcome for one message: `record` by field name, or `code` (and `field`, where one is at fault)."""

    record: dict[str, Any] | None
    code: str | None = None
    field: str | None = None
    reason: str | None = None

    @property
    def error(self) -> str | None:
        """`code:field: reason`, as bronze keeps it; None where the contract holds."""
        return None if self.code is None else f"{self.code}:{self.field or ''}: {self.reason}"


def decoder_for(stream: Stream) -> Decode:
    """A function (message, time at which the broker or the door received it) -> `Decoded`.

    The received time bounds the event time: contract `maxFutureSkew`.
    """
    import msgspec

    decoder = msgspec.json.Decoder(_message_type(stream.fields, ()), strict=True)
    read = [(f.name, f.path) for f in stream.fields]
    names = [b'"%s"' % part.encode() for f in stream.fields for part in f.path]

    def decode(value: bytes | None, received: datetime) -> Decoded:
        if value is None:
            return Decoded(None, "tombstone", None, "the message has no value")
        try:
            message = decoder.decode(value)
        except msgspec.ValidationError as error:
            return _refused(str(error))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            return Decoded(None, "malformed", None, str(error)[:200])
        if b"\\" in value or any(value.count(name) > 1 for name in names):
            twice = _duplicate_key(value)
            if twice is not None:
                return Decoded(None, "duplicate_key", twice, "the key stands twice in one object")
        record = {name: _at(message, path) for name, path in read}
        return _in_time(stream, record, received)

    return decode


def _message_type(fields: tuple[Field, ...], above: tuple[str, ...]) -> type:
    """A msgspec Struct for the object at `above`, with one for each object below it."""
    import msgspec

    depth = len(above)
    members: list[tuple[Any, ...]] = []
    for part in dict.fromkeys(f.path[depth] for f in fields):
        below = tuple(f for f in fields if f.path[depth] == part)
        leaf = next((f for f in below if len(f.path) == depth + 1), None)
        kind = _leaf_type(leaf) if leaf else _message_type(below, (*above, part))
        attribute = f"f{len(members)}"
        if any(f.required for f in below):
            members.append((attribute, kind, msgspec.field(name=part)))
        else:
            members.append((attribute, kind | None, msgspec.field(name=part, default=None)))
    order = {part: i for i, part in enumerate(dict.fromkeys(f.path[depth] for f in fields))}
    struct = msgspec.defstruct("Message", members)
    struct.at = order  # type: ignore[attr-defined]
    return struct


def _leaf_type(field: Field) -> Any:
    from msgspec import Meta

    if field.type == "string":
        meta = Meta(min_length=field.min_length, max_length=field.max_length, pattern=field.pattern)
        if field.allowed:
            from typing import Literal

            return Literal[field.allowed]
        return Annotated[str, meta]
    if field.type in ("integer", "number"):
        # Spark's long: without a bound a 300-digit integer would pass here and fail in the write.
        low, high = (field.minimum, field.maximum)
        if field.type == "integer":
            low = -(2**63) if low is None else int(low)
            high = 2**63 - 1 if high is None else int(high)
            return Annotated[int, Meta(ge=low, le=high)]
        return Annotated[float, Meta(ge=low, le=high)]
    if field.type == "timestamp":
        return Annotated[datetime, Meta(tz=True)]
    return {"boolean": bool, "date": date}[field.type]


def _at(message: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if message is None:
            return None
        message = getattr(message, f"f{type(message).at[part]}")
    return message


def _refused(text: str) -> Decoded:
    where = _PATH.search(text)
    at = where.group(1) if where else ""
    reason = _PATH.sub("", text)
    if missing := _MISSING.search(text):
        return Decoded(None, "missing", ".".join(filter(None, [at, missing.group(1)])), reason)
    if reason.startswith("Expected") and ("got" in reason):
        if "got `null`" in reason:
            return Decoded(None, "missing" if at else "wrong_type", at or None, reason)
        return Decoded(None, "wrong_type", at or None, reason)
    if "Invalid RFC3339" in reason or "timezone" in reason.lower() or "Invalid ISO8601" in reason:
        return Decoded(None, "wrong_type", at or None, reason)
    return Decoded(None, "out_of_range", at or None, reason)


def _duplicate_key(value: bytes) -> str | None:
    found: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        seen = dict(items)
        if len(seen) != len(items):
            names = [k for k, _ in items]
            found.append(next(k for k in names if names.count(k) > 1))
        return seen

    try:
        json.loads(value, object_pairs_hook=pairs)
    except RecursionError:
        return None
    return found[0] if found else None


def _in_time(stream: Stream, record: dict[str, Any], received: datetime) -> Decoded:
    moment: datetime = record[stream.event_time]
    if moment < stream.history_start:
        reason = f"{moment.isoformat()} is before {stream.history_start.isoformat()}"
        return Decoded(None, "before_history", stream.event_time, reason)
    if moment > received + stream.max_future:
        reason = f"{moment.isoformat()} is after the time of receipt {received.isoformat()}"
        return Decoded(None, "in_future", stream.event_time, reason)
    for name, value in record.items():
        if isinstance(value, datetime):
            record[name] = value.astimezone(UTC)
    return Decoded(record)
