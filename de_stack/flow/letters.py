"""Dead letters as plain data: where one lies, what was wrong, whose replay a message is.

Belongs here: positions, the split of an error, headers in a form that people can read. Does not
belong here: tables, Kafka.

A replayed message carries the headers of the letter that it repeats and one more, `REPLAY_OF`, with
the letter's position. So the headers of the third attempt name the first and the second: the first
of them is the event's identity where the producer gave none, the last is the letter that it
repeats, and a good row settles all that it names.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from de_stack.contracts.envelope import REJECTED
from de_stack.failures import PermanentFailure

REPLAY_OF = "de_stack_replay_of"

Headers = list[tuple[str, bytes | None]]


@dataclass(frozen=True, order=True)
class Position:
    """Where a message lies. A topic that was made anew counts from 0 again, hence its id."""

    topic_id: str
    partition: int
    offset: int

    def __str__(self) -> str:
        """As headers and event ids have it."""
        return f"{self.topic_id}:{self.partition}:{self.offset}"

    @classmethod
    def parse(cls, text: str) -> Position | None:
        """`topic_id:partition:offset`; None for anything else."""
        topic_id, _, rest = text.partition(":")
        partition, _, offset = rest.partition(":")
        if not topic_id or not _is_number(partition) or not _is_number(offset):
            return None
        return cls(topic_id, int(partition), int(offset))


@dataclass(frozen=True)
class Letter:
    """A message against its contract, as it came, and what became of it.

    `replayed_as` is where its replay landed, `resolved_by` the row that landed well in the end:
    another one where the replay was bad again, and a letter itself. `source` is who found out first
    that it is bad: `http`, the collector, which told its client; or `kafka`, we ourselves.
    """

    position: Position
    broker_time: datetime
    event_id: str
    code: str
    field: str | None
    reason: str
    key: bytes | None
    headers: Headers
    value: bytes | None
    contract_version: str
    replay_of: str | None = None
    replayed_as: str | None = None
    resolved_by: str | None = None
    resolved_at: datetime | None = None
    source: str = "kafka"

    @property
    def is_open(self) -> bool:
        """Nothing that repeats it has landed."""
        return self.replayed_as is None


def split_error(error: str) -> tuple[str, str | None, str]:
    """(code, field, reason) of bronze's `code:field: reason`."""
    code, _, rest = error.partition(":")
    field, _, reason = rest.partition(": ")
    return code, field or None, reason


def repeats(headers: Headers) -> list[Position]:
    """The letters that a message repeats, first attempt first."""
    given = [_text(value) for name, value in headers if name == REPLAY_OF]
    return [p for p in map(Position.parse, filter(None, given)) if p is not None]


def source_of(headers: Headers) -> str:
    """`http` for what the collector has refused and kept, else `kafka`."""
    return "http" if any(name == REJECTED for name, _ in headers) else "kafka"


def readable(headers: Headers) -> list[dict[str, Any]]:
    """Headers for JSON: `text` where the value is text that Postgres takes, else `hex`."""
    found = []
    for name, value in headers:
        text = _text(value)
        if value is None or text is not None:
            found.append({"key": name, "text": text})
        else:
            found.append({"key": name, "hex": value.hex()})
    return found


def as_bytes(stored: Iterable[dict[str, Any]]) -> Headers:
    """The headers that `readable` was given."""

    def value(header: dict[str, Any]) -> bytes | None:
        if "hex" in header:
            return bytes.fromhex(header["hex"])
        return None if header["text"] is None else header["text"].encode()

    return [(header["key"], value(header)) for header in stored]


def plain(name: str, value: bytes | None) -> dict[str, str | None]:
    """Bytes for JSON, where nothing can be taken for something else: text, or hex in another field.

    Both fields are always there; both are None for no bytes at all.
    """
    text = _text(value)
    return {name: text, f"{name}_hex": None if value is None or text is not None else value.hex()}


def shown(value: bytes | None) -> str | None:
    """Bytes for people: text where they are text, else `hex:...`. Not to be read back: `plain`."""
    text = _text(value)
    return text if value is None or text is not None else f"hex:{value.hex()}"


def pick(found: Iterable[Position], text: str) -> Position:
    """The position that a person means by `partition:offset`, or by all three parts.

    Raises:
        PermanentFailure: it names none of `found`, or several.
    """
    tried = f"find dead letter {text}"
    names = [p for p in found if text in (f"{p.partition}:{p.offset}", str(p))]
    if not names:
        raise PermanentFailure(
            tried, "there is no such letter", "`de-stack dead-letters list`", page="dead-letters"
        )
    if len(names) > 1:
        listed = ", ".join(map(str, names))
        raise PermanentFailure(
            tried, f"the topic was made anew: {listed}", "write the topic's id", page="dead-letters"
        )
    return names[0]


def _text(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit()
