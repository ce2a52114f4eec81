"""The functions of the first telemetry generator's configuration.

Belongs here: what they make for each of its types. Does not belong here: reading the file
(`original.py`).

Times are whole seconds since 1970 where the type is `int` or `long`, and RFC 3339 texts otherwise.
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any, ClassVar

from pydantic import field_validator

from de_stack.sources.generator.function import Function, Make, Use, rfc3339

TYPES = ("dict", "long", "int", "str", "datetime")
_LONG = 2**63
# Beyond 53 bits JSON readers that know only doubles would change it.
_DRAWN = {"int": 100, "long": 2**53 - 1}
_DRAWN_BACK_S = 3600


class Original(Function):
    """A function and the types that it makes values of."""

    fits: ClassVar[tuple[str, ...]] = ("long", "int", "str", "datetime")


class ConstInteger(Original):
    """`const_integer` with the number."""

    fits = ("long", "int")
    value: int

    @field_validator("value", mode="before")
    @classmethod
    def _whole(cls, value: Any) -> int:
        number = int(value) if isinstance(value, str) and _is_whole(value) else value
        if isinstance(number, bool) or not isinstance(number, int):
            raise ValueError(f"{value!r} is no whole number")  # noqa: TRY004 - pydantic's way
        if not -_LONG <= number < _LONG:
            raise ValueError(f"{value} is no 64-bit number")
        return number

    def maker(self, use: Use) -> Make:  # noqa: ARG002
        """Always the number."""
        return lambda _record, _now: self.value


class ConstStr(Original):
    """`const_str` with the text."""

    fits = ("str",)
    value: str

    def maker(self, use: Use) -> Make:  # noqa: ARG002
        """Always the text."""
        return lambda _record, _now: self.value


class ConstDatetime(Original):
    """`const_datetime` with a time: ISO-8601 (UTC where it has no zone), or seconds since 1970."""

    value: datetime

    @field_validator("value", mode="before")
    @classmethod
    def _time(cls, value: Any) -> datetime:
        try:
            return _moment(value)
        except (ValueError, TypeError, OverflowError, OSError) as error:
            reason = f"{value!r} is no time such as 2026-01-01T00:00:00Z"
            raise ValueError(reason) from error

    def maker(self, use: Use) -> Make:
        """Always the time."""
        made = _in_form(use.kind)(self.value)
        return lambda _record, _now: made


class Now(Original):
    """`now`: the time of the event."""

    def follows_clock(self, kind: str) -> bool:  # noqa: ARG002
        """Always."""
        return True

    def maker(self, use: Use) -> Make:
        """The time, in the form of the type."""
        form = _in_form(use.kind)
        return lambda _record, now: form(now)


class TypeValue(Original):
    """`type_value`: drawn, of the entry's type: up to an hour back for a time."""

    fits = TYPES

    def maker(self, use: Use) -> Make:
        """Draws a value."""
        draw = random.Random(use.seed)  # noqa: S311 - repeatable, not secret
        if use.kind == "str":
            return lambda _record, _now: "".join(draw.choices(string.ascii_lowercase, k=8))
        if use.kind == "datetime":
            return lambda _record, now: rfc3339(
                now - timedelta(seconds=draw.uniform(0, _DRAWN_BACK_S))
            )
        return lambda _record, _now: draw.randint(0, _DRAWN[use.kind])


class TypeDefault(Original):
    """An entry without `func`: 0, an empty text, an empty object, the time of the event."""

    fits = TYPES

    def follows_clock(self, kind: str) -> bool:
        """A time does."""
        return kind == "datetime"

    def maker(self, use: Use) -> Make:
        """Always the type's default."""
        if use.kind == "datetime":
            return lambda _record, now: rfc3339(now)
        value: Any = "" if use.kind == "str" else 0
        return lambda _record, _now: value


FUNCTIONS: dict[str, type[Original]] = {
    "const_integer": ConstInteger,
    "const_str": ConstStr,
    "const_datetime": ConstDatetime,
    "now": Now,
    "type_value": TypeValue,
}


def _in_form(kind: str) -> Callable[[datetime], Any]:
    if kind in ("int", "long"):
        return lambda moment: int(moment.timestamp())
    return rfc3339


def _is_whole(text: str) -> bool:
    return text.strip().removeprefix("-").isascii() and text.strip().removeprefix("-").isdigit()


def _moment(value: Any) -> datetime:
    # YAML reads an unquoted time as one.
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return datetime.fromtimestamp(value, UTC)
    found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value))
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
