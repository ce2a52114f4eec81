"""Times as people send them -> RFC 3339 in UTC, as the strict decoder wants them.

Belongs here: what one JSON value means as a time. Does not belong here: where times stand in an
item (`normalise.py`), whether they are in bounds (`contracts.decode`).

| JSON value                            | is taken for                                   |
|---------------------------------------|------------------------------------------------|
| number, magnitude below 1e11          | seconds since 1970 (1e11 s are in year 5138)    |
| number, magnitude from 1e11 on        | milliseconds since 1970 (1e11 ms are in 1973)   |
| ISO-8601 text with a blank for the T  | the same with a T                              |
| ISO-8601 text without a zone          | UTC                                            |

Fractions are kept to the microsecond, half to even. What is none of these stays what it is.
"""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

MILLISECONDS_FROM = Decimal(10) ** 11
# Anything longer is no time; and a short text may still spell a number of a billion digits.
_MOST_CHARACTERS = 40
_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,2})?", re.ASCII)
_ISO = re.compile(
    r"(\d{4}-?\d\d-?\d\d)[Tt ]"
    r"(\d\d(?::?\d\d(?::?\d\d(?:[.,]\d+)?)?)?) ?([Zz]|[+-]\d\d(?::?\d\d)?)?",
    re.ASCII,
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(raw: str) -> str | None:
    """A JSON value's text as a JSON string with the time in RFC 3339; None: leave it as it is."""
    if len(raw) > _MOST_CHARACTERS:
        return None
    try:
        if raw[:1] == '"':
            return None if _is_strict(raw) else _of_text(json.loads(raw))
        return _written(_of_number(raw)) if _NUMBER.fullmatch(raw) else None
    except (ValueError, ArithmeticError):
        # 31 February, hour 25, year 10000, 1e99: the strict decoder says what is wrong.
        return None


def _of_number(raw: str) -> datetime:
    value = Decimal(raw)
    seconds = value / 1000 if abs(value) >= MILLISECONDS_FROM else value
    microseconds = (seconds * 1_000_000).quantize(Decimal(1), ROUND_HALF_EVEN)
    return _EPOCH + timedelta(microseconds=int(microseconds))


def _of_text(text: str) -> str | None:
    found = _ISO.fullmatch(text)
    if found is None:
        return None
    day, time, zone = found.groups()
    clock, dot, fraction = time.replace(",", ".").partition(".")
    # `fromisoformat` cuts digits after the sixth off; a number's are rounded.
    rest = Decimal(f"0.{fraction}") if dot else Decimal(0)
    moment = datetime.fromisoformat(f"{day}T{clock}{(zone or 'Z').upper()}")
    microseconds = (rest * 1_000_000).quantize(Decimal(1), ROUND_HALF_EVEN)
    return _written(moment + timedelta(microseconds=int(microseconds)))


def _written(moment: datetime) -> str:
    return json.dumps(moment.astimezone(UTC).isoformat().replace("+00:00", "Z"))


def _is_strict(raw: str) -> bool:
    from typing import Annotated

    import msgspec

    try:
        msgspec.json.decode(raw, type=Annotated[datetime, msgspec.Meta(tz=True)])
    except msgspec.DecodeError:
        return False
    return True
