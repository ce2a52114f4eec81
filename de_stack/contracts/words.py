"""Typed reads of the words that ODCS does not have, and the error that names a contract's fault.

Belongs here: one value of a contract file -> one Python value, or a refusal. Does not belong here:
which words a stream has (`load.py`).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from de_stack.failures import PermanentFailure

_DURATION = re.compile(
    r"P(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+)S)?)?",
    re.ASCII,
)
# Added to any time of these centuries it still is a time.
_LONGEST = timedelta(days=365_000)


class ContractError(PermanentFailure):
    """A contract file that cannot be used: which file, which field, why."""

    page = "contract-error"

    def __init__(self, path: Path, where: str, reason: str) -> None:
        self.path, self.where, self.reason = path, where, reason
        super().__init__(f"read contract {path}", f"{where}: {reason}", "mend the contract file")


class Words:
    """Typed reads of the words that ODCS does not have; unread words are typing errors."""

    def __init__(self, path: Path, where: str, words: Any) -> None:
        if not isinstance(words, dict):
            raise ContractError(path, where, "not a mapping")
        self._path, self._where, self._words = path, where, dict(words)

    def _take(self, word: str) -> Any:
        if word not in self._words:
            raise ContractError(self._path, f"{self._where}.{word}", "is missing")
        return self._words.pop(word)

    def _bad(self, word: str, reason: str) -> ContractError:
        return ContractError(self._path, f"{self._where}.{word}", reason)

    def text(self, word: str, default: str | None = None) -> str:
        """A text that is not empty; a word with a default may be missing."""
        if default is not None and word not in self._words:
            return default
        value = self._take(word)
        if not isinstance(value, str) or not value:
            raise self._bad(word, f"{value!r} is not a text")
        return value

    def choice(self, word: str, allowed: tuple[str, ...]) -> Any:
        """One of the allowed texts."""
        value = self._take(word)
        if value not in allowed:
            raise self._bad(word, f"{value!r} is not one of {', '.join(allowed)}")
        return value

    def has(self, word: str) -> bool:
        """True where the file has the word (and nobody has read it yet)."""
        return word in self._words

    def number(self, word: str, low: float, high: float) -> float:
        """A number from low to high, both included."""
        value = self._take(word)
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise self._bad(word, f"{value!r} is not a number from {low} to {high}")
        return value

    def whole(self, word: str, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        value = self.number(word, low, high)
        if not isinstance(value, int):
            raise self._bad(word, f"{value!r} is not a whole number")
        return value

    def duration(self, word: str, default: timedelta | None = None) -> timedelta:
        """An ISO-8601 duration of days and smaller units; a word with a default may be missing."""
        if default is not None and word not in self._words:
            return default
        value = self._take(word)
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if not match or not any(match.groups()):
            raise self._bad(word, f"{value!r} is not an ISO-8601 duration such as PT10M or P3D")
        try:
            length = timedelta(**{k: int(v) for k, v in match.groupdict().items() if v})
        except (OverflowError, ValueError):
            length = timedelta.max
        if length > _LONGEST:
            raise self._bad(word, f"{value[:50]!r} is longer than {_LONGEST.days} days")
        return length

    def instant(self, word: str) -> datetime:
        """An ISO-8601 time with a zone, on a full hour of UTC."""
        value = self._take(word)
        try:
            moment = datetime.fromisoformat(str(value).replace("Z", "+00:00"))
        except ValueError as error:
            raise self._bad(word, f"{value!r} is not an ISO-8601 time") from error
        if moment.tzinfo is None:
            raise self._bad(word, f"{value!r} has no time zone")
        try:
            moment = moment.astimezone(UTC)
        except OverflowError as error:
            raise self._bad(word, f"{value!r} has no year 1..9999 in UTC") from error
        if moment != moment.replace(minute=0, second=0, microsecond=0):
            raise self._bad(word, f"{value!r} is not a full hour")
        return moment

    def mapping(self, word: str, default: dict[str, Any] | None = None) -> dict[str, Any]:
        """A mapping of texts to anything; a word with a default may be missing."""
        if default is not None and word not in self._words:
            return default
        value = self._take(word)
        if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
            raise self._bad(word, f"{value!r} is not a mapping")
        return value

    def listed(self, word: str) -> list[Any]:
        """A list; empty where the word is missing."""
        value = self._words.pop(word, [])
        if not isinstance(value, list):
            raise self._bad(word, f"{value!r} is not a list")
        return value

    def done(self) -> None:
        """Refuse words that nobody has read."""
        if self._words:
            raise ContractError(
                self._path, self._where, f"unknown: {', '.join(sorted(self._words))}"
            )
