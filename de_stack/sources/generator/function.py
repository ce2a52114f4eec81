"""What a function of the generator is, and the forms that values take on the wire.

Belongs here: the base class and conversions. Does not belong here: the functions (`functions.py`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict

# (values of the record made so far, time of the event) -> value
Make = Callable[[dict[str, Any], datetime], Any]


@dataclass(frozen=True, slots=True)
class Use:
    """Where a function is used: type and seed of the field, the fields that a walk belongs to."""

    kind: str
    seed: str
    per: tuple[str, ...] = ()


class Function(BaseModel, ABC):
    """Arguments of a function; a word that it does not know is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @abstractmethod
    def maker(self, use: Use) -> Make:
        """What makes the values of one field."""

    def follows_clock(self, kind: str) -> bool:  # noqa: ARG002
        """True where the value is the event's time: a late event, or a future one, shows there."""
        return False


def rfc3339(moment: date) -> str:
    """`2026-01-02T03:04:05.678Z`; a time without a zone is taken as UTC."""
    if not isinstance(moment, datetime):
        moment = datetime(moment.year, moment.month, moment.day, tzinfo=UTC)
    if moment.tzinfo is not UTC:
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"


def _text(value: Any) -> str:
    return rfc3339(value) if isinstance(value, datetime) else str(value)


CONVERT: dict[str, Callable[[Any], Any]] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "timestamp": rfc3339,
    "date": str,
    # Without a contract: as it is, where JSON has a form for it.
    "any": lambda value: (
        value if value is None or isinstance(value, bool | int | float | str) else _text(value)
    ),
}
