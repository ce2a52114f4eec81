"""A line of CSV -> the JSON message that it stands for; and the line that stands for a message.

Belongs here: the contract word `csvLine`: cells by their place, how a cell becomes a JSON value.
Does not belong here: whether the values are right (the strict decoder judges the JSON), files of
rows (`flow.csv_rows`).

Of a stream with that word, each message that does not begin with `{` is one line (RFC 4180, UTF-8,
with or without a byte order mark and an end of line). Blanks around a cell say nothing. An empty
cell is no value, except in a required text. A number keeps its digits: none passes through a float
here. A time may be what the collector's door takes for one (`times.py`): milliseconds, as a rule.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable
from typing import Any

from de_stack.contracts.message import object_of
from de_stack.contracts.model import Field, Stream
from de_stack.contracts.strict import not_text
from de_stack.contracts.times import rfc3339

MEDIA = "text/csv"
_BLANK = " \t\r\n"
_BOM = "\ufeff"
_NUMBER = re.compile(
    r"(?P<sign>[+-]?)(?P<whole>\d*)(?P<rest>(?:\.\d*)?)(?P<power>(?:[eE][+-]?\d+)?)", re.ASCII
)
_DIGIT = re.compile(r"[+-]?\.?\d", re.ASCII)

Read = Callable[[bytes], bytes]


class BadLine(ValueError):
    """A line that stands for no message: the code and the reason of its dead letter."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def line_reader(stream: Stream) -> Read | None:
    """A function message -> JSON: of a line the message that it stands for, all else as it is.

    None for streams whose messages are JSON only. The function raises `BadLine`.
    """
    if not stream.csv_line:
        return None
    fields = [None if name is None else stream.field(name) for name in stream.csv_line]

    def read(value: bytes) -> bytes:
        if value[:1] == b"{" or value.lstrip(_BLANK.encode())[:1] == b"{":
            return value
        if fault := not_text(value):
            raise BadLine("malformed", fault)
        text = value.decode()
        if text.startswith(_BOM):
            if text[1:].lstrip(_BLANK)[:1] == "{":
                return value
            text = text[1:]
        cells = _cells(text)
        if len(cells) != len(fields):
            raise BadLine("columns", f"{len(cells)} cells, the contract has {len(fields)}")
        found = [(f, _value(f, c.strip(_BLANK))) for f, c in zip(fields, cells, strict=True) if f]
        return object_of([(field, json) for field, json in found if json is not None]).encode()

    return read


def line_of(stream: Stream, message: dict[str, Any], spare: str = "") -> bytes:
    """The line that stands for a message; `spare` is in the cells that are read over.

    What the message has not is an empty cell. There is no end of line: messages are one line each.
    """
    places = [None if name is None else stream.field(name).path for name in stream.csv_line]
    text = io.StringIO()
    row = [spare if path is None else _cell(message, path) for path in places]
    # Only what stands in its own end of line is quoted by it.
    csv.writer(text, lineterminator="\r\n").writerow(row)
    return text.getvalue().removesuffix("\r\n").encode()


def _cell(message: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        message = message.get(part) if isinstance(message, dict) else None
    return str(message).lower() if isinstance(message, bool) else message


def _cells(text: str) -> list[str]:
    try:
        # Blanks before a quote are no part of the cell; two lines are told from a line in quotes.
        lines = csv.reader(io.StringIO(text, newline=""), strict=True, skipinitialspace=True)
        rows = [row for row in lines if row]
    except csv.Error as error:
        raise BadLine("malformed", f"no CSV: {error}") from error
    if len(rows) > 1:
        raise BadLine("columns", f"{len(rows)} lines in one message")
    return rows[0] if rows else []


def _value(field: Field, cell: str) -> str | None:
    """The JSON text of a cell; None where it says nothing. What is no such value is a text."""
    import msgspec

    if cell == "" and not (field.type == "string" and field.required and not field.min_length):
        return None
    text = msgspec.json.encode(cell).decode()
    if field.type in ("string", "date"):
        return text
    if field.type == "boolean":
        return cell.lower() if cell.lower() in ("true", "false") else text
    number = _number(cell)
    if field.type == "timestamp":
        return rfc3339(number or text) or number or text
    return number or text


def _number(cell: str) -> str | None:
    """A number as JSON spells it: `+5`, `007`, `.5` and `5.` are some, too; None for none."""
    found = _NUMBER.fullmatch(cell) if _DIGIT.match(cell) else None
    if not found:
        return None
    sign, whole, rest, power = found.group("sign", "whole", "rest", "power")
    return f"{sign.strip('+')}{whole.lstrip('0') or '0'}{'' if rest == '.' else rest}{power}"
