"""Bytes of a message -> a typed record, or a code and a field that say why not.

Belongs here: the strict decoder that the collector's door and the landing share, so that the two
can never disagree. Does not belong here: Kafka, Spark, what happens to a bad message.

Strict means: NaN, 1e400, trailing bytes, bytes that are no UTF-8, a missing required field, a
duplicate key, a year over 9999, a time without a zone are all errors. Unknown fields pass (the raw
message keeps them), whatever well-formed JSON is in them. A line of CSV, where the contract has a
form for it, is judged as the JSON message that it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from de_stack.contracts.csv_line import BadLine, line_reader
from de_stack.contracts.message import message_type, value_at
from de_stack.contracts.model import Stream
from de_stack.contracts.strict import MAX_DEPTH, duplicate_key, not_text, too_deep

Decode = Callable[[bytes | None, datetime], "Decoded"]
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING = re.compile(r"missing required field `([^`]+)`")


@dataclass(frozen=True, slots=True)
class Decoded:
    """Outcome for one message: `record` by field name, or `code` (and `field`, if one is wrong)."""

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

    kind, attributes = message_type(stream.fields)
    decoder = msgspec.json.Decoder(kind, strict=True)
    paths = [f.path for f in stream.fields]
    names = parts_of(stream)
    read_line = line_reader(stream)

    def decode(value: bytes | None, received: datetime) -> Decoded:
        if value is None:
            return Decoded(None, "tombstone", None, "the message has no value")
        if read_line is not None:
            try:
                value = read_line(value)
            except BadLine as bad:
                return Decoded(None, bad.code, None, bad.reason)
        if fault := not_text(value):
            return Decoded(None, "malformed", None, fault)
        if too_deep(value):
            return Decoded(None, "malformed", None, f"nested deeper than {MAX_DEPTH} levels")
        try:
            message = decoder.decode(value)
        except msgspec.ValidationError as error:
            return _refused(str(error))
        except msgspec.DecodeError as error:
            return Decoded(None, "malformed", None, str(error)[:200])
        if may_repeat(value, names):
            twice = duplicate_key(value, paths)
            if twice is not None:
                return Decoded(None, "duplicate_key", twice, "the key stands twice in one object")
        record = {name: value_at(message, at) for name, at in attributes.items()}
        return _in_time(stream, record, received)

    return decode


def parts_of(stream: Stream) -> list[bytes]:
    """The parts of the contract's paths as they stand in a message, in quotes."""
    return [b'"%s"' % part.encode() for part in sorted({p for f in stream.fields for p in f.path})]


def may_repeat(value: bytes, names: list[bytes]) -> bool:
    """False where no key can stand twice: no name does, and none is spelled with escapes."""
    return b"\\" in value or any(value.count(name) > 1 for name in names)


def _refused(text: str) -> Decoded:
    where = _PATH.search(text)
    at = where.group(1) if where else ""
    reason = _PATH.sub("", text)
    if missing := _MISSING.search(text):
        return Decoded(None, "missing", ".".join(filter(None, [at, missing.group(1)])), reason)
    if reason.startswith("Expected") and ", got `" in reason:
        if "got `null`" in reason:
            return Decoded(None, "missing" if at else "wrong_type", at or None, reason)
        return Decoded(None, "wrong_type", at or None, reason)
    if "Invalid RFC3339" in reason or "timezone" in reason.lower() or "Invalid ISO8601" in reason:
        return Decoded(None, "wrong_type", at or None, reason)
    return Decoded(None, "out_of_range", at or None, reason)


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
            try:
                record[name] = value.astimezone(UTC)
            except OverflowError:
                reason = f"{value.isoformat()} has no year 1..9999 in UTC"
                return Decoded(None, "out_of_range", name, reason)
        elif isinstance(value, str) and "\0" in value:
            # JSON has room for it, Postgres has none: one such row would stop its hour for ever.
            return Decoded(None, "out_of_range", name, "holds a NUL character")
    return Decoded(record)
