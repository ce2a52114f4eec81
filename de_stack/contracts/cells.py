"""Cells of a row -> typed values, or a code and a field that say why not.

Belongs here: which columns of a file the contract knows, what a cell may hold, when a row is bad.
Does not belong here: quotes and lines of a file (`flow.csv_rows`), what happens to a bad row.

Codes are those of the message decoder: missing, wrong_type, out_of_range, before_history,
in_future; and `columns` for a row that has not as many cells as the header. An integer is read as
one: no id ever passes through a float.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from de_stack.contracts.day_files import DayFiles
from de_stack.contracts.message import LONG
from de_stack.contracts.model import Field
from de_stack.failures import PermanentFailure

_INTEGER = re.compile(r"[+-]?\d+", re.ASCII)
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:?\d\d)?", re.ASCII)
_MOST_DIGITS = 40
_SHOWN = 60


class _BadCell(Exception):
    def __init__(self, code: str, reason: str) -> None:
        self.code, self.reason = code, reason


@dataclass(frozen=True)
class Header:
    """Columns of a file in its order, None for those the contract does not know (`ignored`)."""

    columns: tuple[str | None, ...]
    ignored: tuple[str, ...]

    @classmethod
    def of(cls, files: DayFiles, cells: Sequence[str], tried: str) -> Header:
        """What the first row of a file says.

        Raises:
            PermanentFailure: a required column is missing, or one stands twice.
        """
        names, known = [cell.strip() for cell in cells], {f.name for f in files.fields}
        there = f"the header has {', '.join(names) or 'nothing'}"
        if twice := sorted({n for n in names if n in known and names.count(n) > 1}):
            raise PermanentFailure(
                tried, f"{', '.join(twice)} twice: {there}", "rename one", page="day-file"
            )
        if missing := [n for n in files.required if n not in names]:
            fix = f"needed are {', '.join(files.required)}, in any order"
            raise PermanentFailure(
                tried, f"no column {', '.join(missing)}: {there}", fix, page="day-file"
            )
        return cls(
            tuple(n if n in known else None for n in names),
            tuple(n for n in names if n not in known),
        )


@dataclass(frozen=True, slots=True)
class Row:
    """A row as it came, by column; typed, or None and why (`code:field: reason`).

    `extra` are cells behind the last column of the header.
    """

    raw: dict[str, str]
    record: dict[str, Any] | None
    error: str | None
    extra: list[str] | None = None


def row_decoder(
    files: DayFiles, header: Header, received: datetime
) -> Callable[[Sequence[str]], Row]:
    """A function cells -> `Row`; `received`, the time of loading, bounds the event time."""
    columns, width = header.columns, len(header.columns)
    readers = [(f.name, _reader(f)) for f in files.fields]
    absent = dict.fromkeys((name for name, _ in readers), "")

    def decode(cells: Sequence[str]) -> Row:
        raw = {n: c for n, c in zip(columns, cells, strict=False) if n is not None}
        if len(cells) != width:
            error = f"columns:: {len(cells)} cells, the header has {width}"
            return Row(raw, None, error, list(cells[width:]) or None)
        given, record, name = absent | raw, {}, ""
        try:
            for name, read in readers:
                record[name] = read(given[name])
            name = files.event_time
            _in_time(files, record[name], received)
        except _BadCell as bad:
            return Row(raw, None, f"{bad.code}:{name}: {bad.reason}")
        return Row(raw, record, None)

    return decode


def _in_time(files: DayFiles, moment: datetime, received: datetime) -> None:
    if moment < files.history_start:
        reason = f"{moment.isoformat()} is before {files.history_start.isoformat()}"
        raise _BadCell("before_history", reason)
    if moment > received + files.max_future:
        reason = f"{moment.isoformat()} is after the time of loading {received.isoformat()}"
        raise _BadCell("in_future", reason)


def _reader(field: Field) -> Callable[[str], Any]:
    """A function cell -> value. An empty cell is no value, except in a required text."""
    if field.type == "string":
        if any((field.min_length, field.max_length, field.pattern, field.allowed)):
            return lambda cell: _text(field, cell)
        return _any_text if field.required else _optional_text
    read: Callable[[Field, str], Any] = {
        "integer": _integer,
        "number": _number,
        "boolean": _boolean,
        "timestamp": _time,
        "date": _date,
    }[field.type]

    def value(cell: str) -> Any:
        if cell == "":
            if field.required:
                raise _BadCell("missing", "the cell is empty")
            return None
        return read(field, cell)

    return value


def _any_text(cell: str) -> str:
    if "\0" in cell:
        # Postgres has no room for it: one such row would stop its day for ever.
        raise _BadCell("out_of_range", "holds a NUL character")
    return cell


def _optional_text(cell: str) -> str | None:
    return _any_text(cell) if cell else None


def _text(field: Field, cell: str) -> str | None:
    if cell == "" and not field.required:
        return None
    if len(cell) < (field.min_length or 0):
        if cell == "":
            raise _BadCell("missing", "the cell is empty")
        raise _BadCell("out_of_range", f"shorter than {field.min_length}")
    if field.max_length is not None and len(cell) > field.max_length:
        raise _BadCell("out_of_range", f"longer than {field.max_length}")
    if field.pattern is not None and not re.search(field.pattern, cell):
        raise _BadCell("out_of_range", f"does not match {field.pattern}")
    if field.allowed and cell not in field.allowed:
        raise _BadCell("out_of_range", f"not one of {', '.join(field.allowed)}")
    return _any_text(cell)


def _integer(field: Field, cell: str) -> int:
    if not _INTEGER.fullmatch(cell):
        raise _BadCell("wrong_type", f"{cell[:_SHOWN]!r} is no whole number")
    low = LONG[0] if field.minimum is None else int(field.minimum)
    high = LONG[1] if field.maximum is None else int(field.maximum)
    if len(cell) > _MOST_DIGITS or not low <= int(cell) <= high:
        raise _BadCell("out_of_range", f"{cell[:_SHOWN]} is not from {low} to {high}")
    return int(cell)


def _number(field: Field, cell: str) -> float:
    if not _NUMBER.fullmatch(cell):
        raise _BadCell("wrong_type", f"{cell[:_SHOWN]!r} is no number")
    value = float(cell)
    low = -math.inf if field.minimum is None else field.minimum
    high = math.inf if field.maximum is None else field.maximum
    if math.isinf(value) or not low <= value <= high:
        raise _BadCell("out_of_range", f"{cell[:_SHOWN]} is not from {low} to {high}")
    return value


def _boolean(field: Field, cell: str) -> bool:  # noqa: ARG001 - all readers are called alike
    if cell.lower() not in ("true", "false"):
        raise _BadCell("wrong_type", f"{cell[:_SHOWN]!r} is neither true nor false")
    return cell.lower() == "true"


def _time(field: Field, cell: str) -> datetime:  # noqa: ARG001 - all readers are called alike
    found = _TIME.fullmatch(cell)
    if not found:
        raise _BadCell("wrong_type", f"{cell[:_SHOWN]!r} is no ISO-8601 time")
    if not found[2]:
        raise _BadCell("wrong_type", f"{cell[:_SHOWN]!r} has no zone (Z)")
    try:
        return datetime.fromisoformat(cell).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _BadCell("wrong_type", f"{cell[:_SHOWN]!r}: {error}") from error


def _date(field: Field, cell: str) -> date:  # noqa: ARG001 - all readers are called alike
    try:
        return date.fromisoformat(cell)
    except ValueError as error:
        raise _BadCell("wrong_type", f"{cell[:_SHOWN]!r} is no ISO-8601 date") from error
