"""Messages with their verdicts: what people may rely on, whoever takes the messages in.

Belongs here: the table, and the means to write its messages. Does not belong here: how they are
sent, and what is done with them.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from de_stack.contracts import load_stream
from de_stack.contracts.topics import MAX_MESSAGE_BYTES
from de_stack_tests.integration.pipeline import measure

STREAM = load_stream("telemetry.measures")
AT = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
GOOD = json.dumps(measure("press", 1.5, AT)).encode()


def has(field: str, text: str | bytes) -> bytes:
    """A good message, but for one field's JSON (of the contract, or one that it does not know)."""
    raw = text.encode() if isinstance(text, str) else text
    kept = {k: v for k, v in json.loads(GOOD).items() if k != field}
    return json.dumps(kept).encode()[:-1] + b', "%s": %s}' % (field.encode(), raw)


def without(field: str) -> bytes:
    return json.dumps({k: v for k, v in json.loads(GOOD).items() if k != field}).encode()


class Case(NamedTuple):
    """A message and its verdict: (None, None) for a row, else code and field."""

    name: str
    value: bytes | None
    code: str | None = None
    field: str | None = None


BIG = "x" * (MAX_MESSAGE_BYTES - 1000)
CASES = [
    Case("invalid UTF-8 in a known field", has("metric", b'"\xff"'), "malformed"),
    Case("invalid UTF-8 in an unknown field", has("note", b'"\xc3"'), "malformed"),
    Case("byte order mark", b"\xef\xbb\xbf" + GOOD, "malformed"),
    Case("truncated", GOOD[:-4], "malformed"),
    Case("empty", b"", "malformed"),
    Case("blank", b" \n", "malformed"),
    Case("zero bytes", bytes(20), "malformed"),
    Case("tombstone", None, "tombstone"),
    Case("null", b"null", "wrong_type"),
    Case("an array", b"[]", "wrong_type"),
    Case("a number", b"17", "wrong_type"),
    Case("a text", b'"press"', "wrong_type"),
    Case("trailing bytes", GOOD + b" }", "malformed"),
    Case("two objects", GOOD + GOOD, "malformed"),
    Case("white space after it", GOOD + b" \r\n"),
    Case("NaN", has("value", "NaN"), "malformed"),
    Case("minus Infinity", has("value", "-Infinity"), "malformed"),
    Case("NaN in an unknown field", has("note", "NaN"), "malformed"),
    Case("1e400", has("value", "1e400"), "out_of_range", "value"),
    Case("1e400 in an unknown field", has("note", "1e400")),
    Case("out of the contract's range", has("value", "1.1e12"), "out_of_range", "value"),
    Case("300 digits", has("value", "9" * 300), "out_of_range", "value"),
    Case("400 digits", has("value", "9" * 400), "out_of_range", "value"),
    Case("300 digits in an unknown field", has("note", "9" * 300)),
    Case("20,000 digits in an unknown field", has("note", "9" * 20_000)),
    Case("duplicate key", GOOD[:-1] + b', "value": 2}', "duplicate_key", "value"),
    Case("duplicate key, escaped", GOOD[:-1] + b', "valu\\u0065": 2}', "duplicate_key", "value"),
    Case("duplicate unknown key", GOOD[:-1] + b', "note": 1, "note": 2}'),
    *(Case(f"no {f.name}", without(f.name), "missing", f.name) for f in STREAM.fields),
    Case("null value", has("value", "null"), "missing", "value"),
    Case("null source", has("source_id", "null"), "missing", "source_id"),
    Case("unknown field", has("note", '{"a": [1, null, "\\ud83d\\ude00"]}')),
    Case("value as text", has("value", '"1.5"'), "wrong_type", "value"),
    Case("value as truth", has("value", "true"), "wrong_type", "value"),
    Case("value as object", has("value", "{}"), "wrong_type", "value"),
    Case("source as number", has("source_id", "5"), "wrong_type", "source_id"),
    Case("no time", has("measured_at", '"yesterday"'), "wrong_type", "measured_at"),
    Case("time as number", has("measured_at", "1700000000"), "wrong_type", "measured_at"),
    Case("no zone", has("measured_at", '"2026-11-01T00:00:00"'), "wrong_type", "measured_at"),
    Case("year 10000", has("measured_at", '"10000-01-01T00:00:00Z"'), "wrong_type", "measured_at"),
    Case("NUL in a text", has("metric", '"a\\u0000"'), "out_of_range", "metric"),
    Case("empty source", has("source_id", '""'), "out_of_range", "source_id"),
    Case("129 letters", has("source_id", f'"{"s" * 129}"'), "out_of_range", "source_id"),
    Case("10,000 deep", b"[" * 10_000 + b"]" * 10_000, "malformed"),
    Case("10,000 deep, never closed", b'{"a":' * 10_000, "malformed"),
    Case("10,000 deep unknown", has("note", "[" * 10_000 + "]" * 10_000), "malformed"),
    Case("100 deep in all", has("note", "[" * 99 + "]" * 99)),
    Case("101 deep in all", has("note", "[" * 100 + "]" * 100), "malformed"),
    Case("10,000 brackets in a text", has("note", f'"{"[" * 10_000}"')),
    Case("1 MB good", has("note", f'"{BIG}"')),
    Case("1 MB of small objects", has("note", f"[{'{},' * 300_000}0]")),
    Case("1 MB bad at its end", has("note", f'"{BIG}"') + b"}", "malformed"),
    Case("1 MB of digits", has("value", "9" * len(BIG)), "out_of_range", "value"),
    Case("1 MB of brackets", b"[" * len(BIG), "malformed"),
    Case("1 MB of escapes, never closed", b'"' + b'\\"' * (len(BIG) // 2), "malformed"),
    Case("1 MB that is no text", b"\xff" * len(BIG), "malformed"),
    Case(
        "1 MB, then a duplicate key", has("note", f'"{BIG}", "value": 2'), "duplicate_key", "value"
    ),
]
