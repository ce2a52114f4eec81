"""A cell -> a time of UTC, by a rule that is said and never guessed.

Belongs here: formats, zones, their gaps and folds, the shift. Does not belong here: other types
(`values.py`), which shift (`records.py` finds the last time, the command decides).

A local time that a clock change skips does not exist and is no time; one that occurs twice is the
first of the two (PEP 495's `fold=0`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

EPOCHS = {"s": 1, "ms": 1_000, "us": 1_000_000}
_ISO = re.compile(
    r"(\d{4})([-/])(\d{2})\2(\d{2})"
    r"(?:[T ](\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?) ?(Z|[+-]\d{2}(?::?\d{2})?)?)?",
    re.IGNORECASE | re.ASCII,
)
# Day and month, whichever is first: never guessed.
_DAY_OR_MONTH = re.compile(r"\d{1,2}([./-])\d{1,2}\1(\d{4}|\d{2})(?!\d).*", re.ASCII | re.DOTALL)
_DIGITS = re.compile(r"\d{9,17}(\.\d+)?", re.ASCII)
# `2021-03-20 00:22:00`, which most files have.
_PLAIN = 19
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass
class Seen:
    """What the cells were: times without a zone, skipped ones and ambiguous ones among them.

    `blank` are those of any type that only say that there is no value.
    """

    naive: int = 0
    blank: int = 0
    skipped: int = 0
    twice: int = 0


@dataclass
class Times:
    """How a file writes times.

    `form` is a `strptime` format or one of `EPOCHS`; without it ISO 8601 is read, with a blank or
    `T`, with or without a time of day. `zone` is that of times without one.
    """

    form: str | None = None
    zone: tzinfo = UTC
    seen: Seen = field(default_factory=Seen)

    def read(self, cell: Any) -> datetime | None:
        """The time that a cell says, in UTC; None for one that says none."""
        try:
            if isinstance(cell, str):
                found = self._text(cell.strip())
            elif isinstance(cell, datetime):
                found = cell
            elif isinstance(cell, date):
                found = datetime(cell.year, cell.month, cell.day)  # noqa: DTZ001 - see `_aware`
            elif isinstance(cell, int | float) and not isinstance(cell, bool):
                found = self._epoch(cell)
            else:
                return None
            return None if found is None else self._aware(found)
        except (ValueError, OverflowError):
            return None

    def read_date(self, cell: Any) -> date | None:
        """The date that a cell says; None for one that says none."""
        if isinstance(cell, datetime):
            return cell.date()
        if isinstance(cell, date):
            return cell
        if not isinstance(cell, str):
            return None
        text = cell.strip()
        try:
            if self.form and self.form not in EPOCHS:
                return datetime.strptime(text, self.form).date()  # noqa: DTZ007 - a date has none
        except ValueError:
            pass
        try:
            found = _iso(text)
        except ValueError:
            return None
        return found.date() if found else None

    def _text(self, text: str) -> datetime | None:
        if self.form is None:
            return _iso(text)
        if self.form in EPOCHS:
            if re.fullmatch(r"-?\d+(\.\d+)?", text, re.ASCII):
                return self._epoch(float(text) if "." in text else int(text))
        else:
            try:
                return datetime.strptime(text, self.form)  # noqa: DTZ007 - see `_aware`
            except ValueError:
                pass
        # What names its zone needs no format: a message would be taken for it anyway.
        found = _iso(text)
        return found if found and found.tzinfo else None

    def _epoch(self, number: float) -> datetime | None:
        if self.form not in EPOCHS:
            return None
        scale = EPOCHS[self.form]
        # Whole numbers exactly: a float has no room for microseconds of today.
        if isinstance(number, int) and scale <= 1_000_000:
            return _EPOCH + timedelta(microseconds=number * (1_000_000 // scale))
        return _EPOCH + timedelta(seconds=number / scale)

    def _aware(self, moment: datetime) -> datetime | None:
        if moment.tzinfo is not None:
            return moment.astimezone(UTC)
        self.seen.naive += 1
        if self.zone is UTC:
            return moment.replace(tzinfo=UTC)
        local = moment.replace(tzinfo=self.zone, fold=0)
        found = local.astimezone(UTC)
        if found.astimezone(self.zone).replace(tzinfo=None) != moment:
            self.seen.skipped += 1
            return None
        if local.utcoffset() != local.replace(fold=1).utcoffset():
            self.seen.twice += 1
        return found


def _iso(text: str) -> datetime | None:
    if len(text) == _PLAIN and text[4] == text[7] == "-" and text[10] in " T" and text[13] == ":":
        try:
            return datetime.fromisoformat(text)
        except ValueError:
            return None
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    year, _, month, day, clock, zone = match.groups()
    if clock is None:
        return datetime(int(year), int(month), int(day))  # noqa: DTZ001 - see `_aware`
    zone = (zone or "").upper()
    return datetime.fromisoformat(f"{year}-{month}-{day}T{clock.replace(',', '.')}{zone}")


def question(texts: Iterable[Any]) -> tuple[str, str] | None:
    """(what cannot be known, what to type) of cells that need a format; None where none does.

    Args:
        texts: cells of a column of times.
    """
    cells = [str(t).strip() for t in texts if t is not None and str(t).strip()]
    slashed = [c for c in cells if _DAY_OR_MONTH.fullmatch(c)]
    if slashed:
        forms = _forms(slashed[0])
        fitting = [form for form in forms if all(_fits(c, form) for c in slashed)]
        got = f"{slashed[0]!r}: which is the day and which the month is not guessed"
        if len(fitting) == 1:
            got += f" ({len(slashed):,} that were looked at fit one of the two)"
        return got, "type " + " or ".join(f"--time-format '{form}'" for form in fitting or forms)
    if cells and all(_DIGITS.fullmatch(c) for c in cells):
        return f"{cells[0]!r}: a number since 1970 has a unit", "type --time-format s, ms or us"
    return None


def _forms(text: str) -> list[str]:
    """Formats of both orders for a text such as `20/03/2021 00:22`."""
    found = _DAY_OR_MONTH.fullmatch(text)
    mark, year = (found[1], found[2]) if found else ("/", "2021")
    clock = text.replace("T", " ").partition(" ")[2]
    letters = "%Y" if len(year) == 4 else "%y"
    parts = clock.split(":") if clock else []
    after = ""
    if parts:
        between = "T" if "T" in text else " "
        hours = "%I" if clock[-1:] in "mM" else "%H"
        after = between + ":".join([hours, "%M", "%S"][: len(parts)])
        after += ".%f" if "." in parts[-1] and len(parts) == 3 else ""
        after += " %p" if hours == "%I" else ""
    return [f"{a}{mark}{b}{mark}{letters}{after}" for a, b in (("%d", "%m"), ("%m", "%d"))]


def _fits(text: str, form: str) -> bool:
    try:
        datetime.strptime(text, form)  # noqa: DTZ007 - only whether it can be read
    except ValueError:
        return False
    return True
