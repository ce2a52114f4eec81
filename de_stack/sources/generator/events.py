"""Functions, seed and start -> events, one after the other, always the same ones.

Belongs here: records, their bytes and their ids. Does not belong here: when they are made and where
they go.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from de_stack.sources.generator.function import Function, Make, Use, rfc3339
from de_stack.sources.generator.functions import Choice, Walk

if TYPE_CHECKING:
    from de_stack.contracts import Stream

# Ours, drawn once: ids of other programs cannot collide with those of the generator.
_IDS = uuid.UUID("6d0c3f5e-7a9b-4b62-9f0e-2f6f1d9c8a51")


@dataclass(frozen=True, slots=True)
class Event:
    """One event: its id, its time (RFC 3339) and the bytes of its message."""

    id: str
    time: str
    data: bytes


class Events:
    """The events of one run, in order.

    An id is made from stream, seed, start and running number: the same run again makes the same
    ids, a later run with the same seed never does.
    """

    def __init__(
        self, stream: Stream, functions: dict[str, Function], seed: int | str, start: datetime
    ) -> None:
        choices = tuple(n for n, f in functions.items() if isinstance(f, Choice))
        # Walks come last: they may follow any other field, wherever the contract has it.
        order = sorted(functions, key=lambda name: isinstance(functions[name], Walk))
        self._makers: list[tuple[str, Make]] = [
            (n, functions[n].maker(Use(stream.field(n).type, f"{seed}:{n}", choices)))
            for n in order
        ]
        self._paths = [(f.name, f.path) for f in stream.fields if f.name in functions]
        self._id = f"{stream.name}/{seed}/{start.isoformat()}/"
        self.made = 0

    def next(self, now: datetime) -> Event:
        """The next event, at time `now`."""
        record: dict[str, Any] = {}
        for name, make in self._makers:
            record[name] = make(record, now)
        self.made += 1
        event_id = str(uuid.uuid5(_IDS, f"{self._id}{self.made}"))
        return Event(event_id, rfc3339(now), self._bytes(record))

    def _bytes(self, record: dict[str, Any]) -> bytes:
        message: dict[str, Any] = {}
        for name, path in self._paths:
            place = message
            for part in path[:-1]:
                place = place.setdefault(part, {})
            place[path[-1]] = record[name]
        return _ENCODE(message).encode()


_ENCODE: Callable[[Any], str] = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode
