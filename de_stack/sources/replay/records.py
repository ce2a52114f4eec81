"""Rows -> messages: JSON by the contract's paths, key, id, headers.

Belongs here: what a row becomes, and whether the landing will take it. Does not belong here:
reading rows, sending messages.

The landing's own decoder looks at each message here already, so that what is said of bad rows is
what will become of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from de_stack.contracts.columns import columns_for
from de_stack.contracts.envelope import Headers, event_headers, message_key
from de_stack.contracts.topics import MAX_MESSAGE_BYTES
from de_stack.sources.replay.values import converter

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.sources.replay.mapping import Mapping
    from de_stack.sources.replay.source import Row, Source
    from de_stack.sources.replay.times import Times

SOURCE = "de_stack/replay"
# What a broken row may take of a message, in bytes.
_SHOWN = 500_000


class Event(NamedTuple):
    """One message. `row` counts from 1; `error` is the decoder's, None for a good one."""

    row: int
    key: bytes | None
    value: bytes
    headers: Headers
    error: str | None

    @property
    def is_sendable(self) -> bool:
        """False for one that is larger than a topic takes."""
        if len(self.value) < MAX_MESSAGE_BYTES // 2:
            return True
        around = sum(len(name) + len(text) for name, text in self.headers)
        return len(self.key or b"") + len(self.value) + around <= MAX_MESSAGE_BYTES


def id_prefix(sha256: str, name: str = "") -> str:
    """What the event ids of a file's rows begin with; `name` tells a second use from the first."""
    return f"replay:{sha256[:32]}.{name}:" if name else f"replay:{sha256[:32]}:"


class Records:
    """Makes messages of a file's rows."""

    def __init__(
        self,
        stream: Stream,
        mapping: Mapping,
        times: Times,
        shift: timedelta,
        prefix: str,
        now: Callable[[], datetime],
    ) -> None:
        fields = {f.name: f for f in stream.fields}
        self.wanted = tuple(mapping.columns.values())
        self._stream, self._prefix, self._now = stream, prefix, now
        # A stream puts its name together each time that it is asked.
        self._kind = stream.name
        self._cells = [
            (*_place(fields[name].path), converter(fields[name], times, shift))
            for name in mapping.columns
        ]
        self._fixed = [(fields[name].path, value) for name, value in mapping.constants.items()]
        self._time = fields[stream.event_time].path
        self._decode = columns_for(stream)
        kind, _, name = stream.event_id.partition(":")
        self._id_header = name if kind == "header" and name != "ce_id" else None

    def events(self, source: Source, at_once: int) -> Iterator[Iterator[Event]]:
        """All rows of a file, so many at once."""
        rows, first = iter(source.rows(self.wanted)), 1
        while batch := list(islice(rows, at_once)):
            yield self.of(first, batch)
            first += len(batch)

    def of(self, first: int, rows: Iterable[Row]) -> Iterator[Event]:
        """Messages of rows that follow each other; `first` is the first one's number.

        One by one: kept all together, their many small tuples cost Python's collector a third.
        """
        import pyarrow as pa

        messages = [self._message(row) for row in rows]
        values = [m if isinstance(m, bytes) else _encode(m) for m in messages]
        received = pa.array([self._now()] * len(values), pa.timestamp("us", "UTC"))
        decoded = self._decode(pa.array(values, pa.binary()), received)
        errors = decoded.error.to_pylist()
        for place, message in enumerate(messages):
            if isinstance(message, bytes) and errors[place] is None:
                # What was no row of this file must not pass for an event.
                values[place] = _encode(message.decode(errors="replace"))
                errors[place] = "wrong_type:: no row of the file"
        names = self._stream.key
        keyed = zip(*(decoded.record.field(name).to_pylist() for name in names), strict=True)
        for number, message, value, error, parts in zip(
            range(first, first + len(values)), messages, values, errors, keyed, strict=True
        ):
            if error is None:
                key = message_key(names, dict(zip(names, parts, strict=True)))
                headers = self._headers(number, _at(message, self._time))
            else:
                key, headers = None, self._headers(number, None)
            yield Event(number, key, value, headers, error)

    def _headers(self, number: int, time: str | None) -> Headers:
        event_id = f"{self._prefix}{number}"
        headers = event_headers(event_id, SOURCE, self._kind, time or "")
        if time is None:
            # CloudEvents has no empty time: without one it is left out.
            headers = [header for header in headers if header[0] != "ce_time"]
        if self._id_header:
            headers.append((self._id_header, event_id.encode()))
        return headers

    def _message(self, row: Row) -> dict[str, Any] | bytes:
        if isinstance(row, bytes):
            return row[:_SHOWN]
        message: dict[str, Any] = {}
        for (name, path, convert), cell in zip(self._cells, row, strict=True):
            if cell is None:
                continue
            if path is None:
                message[name] = convert(cell)
            else:
                _put(message, path, convert(cell))
        for path, value in self._fixed:
            _put(message, path, value)
        return message


def _place(path: tuple[str, ...]) -> tuple[str, tuple[str, ...] | None]:
    """(name, None) at the top of a message, which is where most fields are; (name, path) below."""
    return path[-1], path if len(path) > 1 else None


def _at(message: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        message = message[part]
    return message


def _put(message: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        message = message.setdefault(part, {})
    message[path[-1]] = value


def _encode(value: Any) -> bytes:
    import msgspec

    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        # Bytes that were no text go as they came; the landing refuses them.
        import json

        return json.dumps(value, ensure_ascii=False).encode("utf-8", "surrogateescape")


def last_time(source: Source, column: str, times: Times) -> datetime | None:
    """The latest time that a column says, over the whole file; None where none can be read."""
    found: datetime | None = None
    for row in source.rows([column]):
        if isinstance(row, bytes) or row[0] is None:
            continue
        moment = times.read(row[0])
        if moment is not None and (found is None or moment > found):
            found = moment
    return found


def days_until(last: datetime, now: datetime) -> int:
    """The largest whole number of days that, added to a time, keeps it not after now."""
    return (now - last) // timedelta(days=1)
