"""Many messages at once -> typed columns, exactly as the decoder would have it one by one.

Belongs here: the short way for messages that are plainly right. Does not belong here: any rule of
its own: a message that is not plainly right goes to the decoder (`decode.py`), whose word counts.

A row made of Python objects took 10 us of one core, headers and all; the parser needs 0.3 of them.
So the parser alone runs for each message, and what it lets pass is looked for in all together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from de_stack.contracts.csv_line import BadLine, Read, line_reader
from de_stack.contracts.decode import decoder_for, may_repeat, parts_of
from de_stack.contracts.message import message_type, value_at
from de_stack.contracts.strict import MAX_DEPTH, not_text, too_deep

if TYPE_CHECKING:
    import pyarrow as pa

    from de_stack.contracts.model import Stream

Raw = list[bytes | None]
_YEARS = (datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class Columns:
    """One entry per message: `record` (a struct) and `event_time` are null where `error` is not."""

    record: pa.StructArray
    event_time: pa.Array
    error: pa.Array


def columns_for(stream: Stream) -> Callable[[pa.Array, pa.Array], Columns]:
    """A function (messages, times at which the broker received them) -> `Columns`."""
    import msgspec
    import pyarrow as pa

    one = decoder_for(stream)
    kind, attributes = message_type(stream.fields)
    parse = msgspec.json.Decoder(kind, strict=True).decode
    blank = kind(**dict.fromkeys(kind.__struct_fields__))
    types = {f.name: arrow_types()[f.type] for f in stream.fields}
    fields = [pa.field(name, type_) for name, type_ in types.items()]
    read_line = line_reader(stream)

    def decode(values: pa.Array, received: pa.Array) -> Columns:
        raw: Raw = values.to_pylist()
        if read_line is not None and not _begin_all(values, b"{"):
            raw = [value and _message(read_line, value) for value in raw]
        messages, suspects = _parsed(parse, raw, blank)
        found = {name: _values(messages, at) for name, at in attributes.items()}
        arrays = {name: pa.array(found[name], types[name]) for name in types}
        suspects |= _unlike(raw, suspects, _least(stream, found, len(raw) - len(suspects)))
        suspects |= _out_of_time(stream, arrays, received)
        errors: list[str | None] = [None] * len(raw)
        for row in sorted(suspects):
            outcome = one(raw[row], received[row].as_py())
            errors[row] = outcome.error
            if outcome.record is not None and messages[row] is blank:
                raise RuntimeError(f"parser and decoder differ about {raw[row]!r}")
        error = pa.array(errors, pa.string())
        # The times stay in the struct, under its nulls; outside they must be nulls themselves.
        wrong, times = error.is_valid(), arrays[stream.event_time]
        if error.null_count < len(error):
            pc = kernels()
            times = pc.if_else(wrong, pa.scalar(None, times.type), times)
        record = pa.StructArray.from_arrays(list(arrays.values()), fields=fields, mask=wrong)
        return Columns(record, times, error)

    return decode


def kernels() -> Any:
    """Arrow's functions on arrays, which are made at run time: type checkers see none of them."""
    import pyarrow.compute

    return pyarrow.compute


def arrow_types() -> dict[str, pa.DataType]:
    """Contract type -> Arrow type."""
    import pyarrow as pa

    return {
        "string": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
        "timestamp": pa.timestamp("us", "UTC"),
        "date": pa.date32(),
    }


def _begin_all(values: pa.Array, first: bytes) -> bool:
    pc = kernels()
    return bool(pc.all(pc.starts_with(values, first)).as_py())


def _message(read_line: Read, value: bytes) -> bytes:
    """The JSON of a line; a bad line as it is: no parser lets it pass, and the decoder says why."""
    try:
        return read_line(value)
    except BadLine:
        return value


def _parsed(parse: Callable[[Any], Any], raw: Raw, blank: Any) -> tuple[list[Any], set[int]]:
    """A message for each row, and the rows that the parser refused: they hold a blank one."""
    import msgspec

    messages: list[Any] = []
    refused: set[int] = set()
    rest = iter(raw)
    while len(messages) < len(raw):
        try:
            # What was parsed before an error is in the list by then, and `rest` is past the error.
            messages.extend(map(parse, rest))
        except (msgspec.DecodeError, ValueError, TypeError, RecursionError):
            refused.add(len(messages))
            messages.append(blank)
    return messages, refused


def _values(messages: list[Any], at: tuple[str, ...]) -> list[Any]:
    if len(at) == 1:
        return list(map(attrgetter(at[0]), messages))
    return [value_at(message, at) for message in messages]


def _least(stream: Stream, found: dict[str, list[Any]], good: int) -> dict[bytes, int]:
    """How often the parts of the contract's paths stand in the good messages, at the least."""
    least = dict.fromkeys(parts_of(stream), 0)
    for field in stream.fields:
        # An optional field that is there as null is not counted: then its messages are looked at.
        times = good if field.required else len(found[field.name]) - found[field.name].count(None)
        for name in {b'"%s"' % part.encode() for part in field.path}:
            least[name] = max(least[name], times)
    return least


def _unlike(raw: Raw, refused: set[int], least: dict[bytes, int]) -> set[int]:
    """Rows with something that the parser lets pass and the decoder may not.

    First asked of all messages as one text, which is many times faster; a bad one among them only
    costs the time of asking each.
    """
    good = [v for row, v in enumerate(raw) if row not in refused] if refused else raw
    text = b"\n".join(good)  # type: ignore[arg-type]  # the parser has refused those of None
    doubts: list[Callable[[bytes], Any]] = []
    if not text.isascii():
        doubts.append(not_text)
    # A level takes two bytes.
    if max(map(len, good), default=0) > 2 * MAX_DEPTH:  # type: ignore[arg-type]
        doubts.append(too_deep)
    # As many as there must be: then none is there twice.
    if b"\\" in text or any(text.count(name) > times for name, times in least.items()):
        names = list(least)
        doubts.append(lambda value: may_repeat(value, names))
    if not doubts:
        return set()
    return {
        row
        for row, value in enumerate(raw)
        if row not in refused and value is not None and any(doubt(value) for doubt in doubts)
    }


def _out_of_time(stream: Stream, arrays: dict[str, pa.Array], received: pa.Array) -> set[int]:
    """Rows with a time that the decoder may refuse."""
    import pyarrow as pa

    pc, type_ = kernels(), arrays[stream.event_time].type
    latest = pc.add(received.cast(type_), pa.scalar(stream.max_future, pa.duration("us")))
    found: set[int] = set()
    for field in stream.fields:
        if field.type != "timestamp":
            continue
        times, (low, high) = arrays[field.name], _YEARS
        if field.name == stream.event_time:
            low, high = stream.history_start, latest
        high = high if isinstance(high, pa.Array) else pa.scalar(high, type_)
        outside = pc.or_(pc.less(times, pa.scalar(low, type_)), pc.greater(times, high))
        found.update(pc.indices_nonzero(pc.fill_null(outside, fill_value=False)).to_pylist())
    return found
