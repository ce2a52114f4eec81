"""A cell -> the JSON value of a contract's type; what cannot be one stays as it is.

Belongs here: numbers, integers, booleans, texts, dates. Does not belong here: times (`times.py`),
whether a value is within the contract (the decoder says).

Nothing here is refused: a cell that is no value of its type goes into the message as it came, and
the landing makes a dead letter of it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from de_stack.sources.replay.times import Times

if TYPE_CHECKING:
    from de_stack.contracts import Field

Convert = Callable[[Any], Any]
# `25643711.0`: programs write whole numbers so where the column has a gap.
_WHOLE = re.compile(r"([+-]?\d{1,30})(?:\.0*)?", re.ASCII)
_WORDS = {
    **dict.fromkeys(("true", "t", "yes", "y", "1"), True),
    **dict.fromkeys(("false", "f", "no", "n", "0"), False),
}
# What people write where there is no value. None of it is a value of a type but text.
NOTHING = frozenset(("", "na", "n/a", "nan", "null", "none", "-"))
_JSON = (str, int, float, bool, list, dict, type(None))


def converter(field: Field, times: Times, shift: timedelta) -> Convert:
    """A function from a cell that is not None to what stands in the message.

    Args:
        field: the contract's.
        times: how the file writes times.
        shift: a whole number of days, for times and dates.
    """
    convert = _converter(field.type, times, shift)
    if field.required or field.type == "string":
        return convert

    def or_nothing(cell: Any) -> Any:
        says_nothing = isinstance(cell, str) and cell.strip().lower() in NOTHING
        if says_nothing or (isinstance(cell, float) and math.isnan(cell)):
            times.seen.blank += 1
            return None
        return convert(cell)

    return or_nothing


def _converter(kind: str, times: Times, shift: timedelta) -> Convert:
    if kind == "timestamp":
        return lambda cell: _time(times, shift, cell)
    if kind == "date":
        return lambda cell: _date(times, shift, cell)
    return {"number": number, "integer": integer, "boolean": boolean, "string": text}[kind]


def number(cell: Any) -> Any:
    """A finite number."""
    if isinstance(cell, str):
        try:
            found = float(cell)
        except ValueError:
            return cell
        # Python's own spellings: 1_000, digits of other scripts, nan, inf.
        right = math.isfinite(found) and "_" not in cell and cell.isascii()
        return found if right else cell
    if isinstance(cell, Decimal) and cell.is_finite():
        return float(cell)
    return plain(cell)


def integer(cell: Any) -> Any:
    """A whole number, from `7`, `7.0` or a number that is one."""
    if isinstance(cell, str) and (found := _WHOLE.fullmatch(cell.strip())):
        return int(found[1])
    if isinstance(cell, float | Decimal) and math.isfinite(cell) and cell == int(cell):
        return int(cell)
    return plain(cell)


def boolean(cell: Any) -> Any:
    """True or false, from the usual words and 1 and 0."""
    if isinstance(cell, str):
        return _WORDS.get(cell.strip().lower(), cell)
    if isinstance(cell, int | float) and cell in (0, 1):
        return bool(cell)
    return plain(cell)


def text(cell: Any) -> Any:
    """The text as it is; a number or a time as it is usually written."""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, bool):
        return "true" if cell else "false"
    return str(cell) if isinstance(cell, int | float | Decimal) else plain(cell)


def plain(cell: Any) -> Any:
    """Something that JSON can say, as near to the cell as can be."""
    if isinstance(cell, float) and not math.isfinite(cell):
        return str(cell)
    if isinstance(cell, _JSON):
        return cell
    if isinstance(cell, datetime | date | time):
        return cell.isoformat()
    if isinstance(cell, bytes):
        try:
            return cell.decode()
        except UnicodeDecodeError:
            return cell.hex()
    return str(cell)


def _time(times: Times, shift: timedelta, cell: Any) -> Any:
    found = times.read(cell)
    if found is None:
        return plain(cell)
    try:
        return f"{(found + shift).isoformat()[:-6]}Z"
    except OverflowError:
        # The cell itself may be a time, and it would pass for one that was not moved.
        return f"{plain(cell)} moved by {shift.days} days"


def _date(times: Times, shift: timedelta, cell: Any) -> Any:
    found = times.read_date(cell)
    if found is None:
        return plain(cell)
    try:
        return (found + shift).isoformat()
    except OverflowError:
        return f"{plain(cell)} moved by {shift.days} days"
