"""Texts of a command line -> values, the same for `de-stack generate` and the service.

Belongs here: a rate, a count, a time. Does not belong here: what is done with them (`job.py`).
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from de_stack.failures import PermanentFailure

MOST_PER_SECOND = 1e6
FORMS = ("json", "csv")


def rate(text: str | float) -> float:
    """Events per second.

    Raises:
        PermanentFailure: not a number above 0, at most a million.
    """
    value = _number(text)
    if value is None or not 0 < value <= MOST_PER_SECOND:
        raise _refused("--rate", text, "a number above 0, at most 1000000")
    return value


def count(text: str | int) -> int:
    """How many events.

    Raises:
        PermanentFailure: not a whole number, or below 0.
    """
    value = _number(text)
    if value is None or value < 0 or value != int(value):
        raise _refused("--count", text, "a whole number from 0 on")
    return int(value)


def start(text: str) -> datetime:
    """A time in UTC; one without a zone is UTC.

    Raises:
        PermanentFailure: not ISO-8601.
    """
    try:
        found = datetime.fromisoformat(text.strip())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _refused("--start", text, "a time such as 2026-03-01T12:00:00Z") from error


def port(text: str | int) -> int:
    """A port; 0 is any that is free.

    Raises:
        PermanentFailure: none from 0 to 65535.
    """
    value = _number(text)
    if value is None or not 0 <= value <= 65535 or value != int(value):
        raise _refused("--metrics-port", text, "a port from 0 (any) to 65535")
    return int(value)


def form(text: str) -> str:
    """What the bytes of events are.

    Raises:
        PermanentFailure: neither json nor csv.
    """
    if text not in FORMS:
        raise _refused("--format", text, " or ".join(FORMS))
    return text


def _number(text: str | float) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _refused(option: str, text: object, wanted: str) -> PermanentFailure:
    return PermanentFailure(f"read {option}", f"{text!r} is none", f"give {wanted}")
