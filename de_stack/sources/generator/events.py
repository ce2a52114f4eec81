"""Shape, seed and start -> events, one after the other, always the same ones.

Belongs here: records, their bytes, keys and ids. Does not belong here: when they are made and where
they go, what is done to them on purpose (`faults.py`).
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from de_stack.contracts.envelope import message_key
from de_stack.sources.generator.function import Make, Use, rfc3339
from de_stack.sources.generator.functions import Choice, Walk
from de_stack.sources.generator.shape import OBJECT, Shape

# Ours, drawn once: ids of other programs cannot collide with those of the generator.
_IDS = uuid.UUID("6d0c3f5e-7a9b-4b62-9f0e-2f6f1d9c8a51")
# RFC 9562: the two highest bits of the ninth byte are 1 and 0.
_VARIANT = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}


class Event(NamedTuple):
    """One event: its id, its time (RFC 3339), its message, its Kafka key.

    `fault` says what was done to it on purpose; `is_json` is False where its bytes are no JSON.
    `media` is what they were meant to be.
    """

    id: str
    time: str
    data: bytes
    key: bytes | None = None
    fault: str = ""
    is_json: bool = True
    media: str = "application/json"


class Events:
    """The events of one run, in order.

    An id is made from name, seed, start and running number: the same run again makes the same
    ids, a later run with the same seed never does.
    """

    def __init__(self, shape: Shape, seed: int | str, start: datetime) -> None:
        import msgspec

        made = [slot for slot in shape.slots if slot.kind != OBJECT]
        choices = tuple(slot.name for slot in made if isinstance(slot.function, Choice))
        # Walks come last: they may follow any other field, wherever the message has it.
        order = sorted(made, key=lambda slot: isinstance(slot.function, Walk))
        self._makers: list[tuple[str, Make]] = [
            (s.name, s.function.maker(Use(s.kind, f"{seed}:{s.name}", choices))) for s in order
        ]
        # The order of the message, whatever the order of making.
        self._blank: dict[str, Any] = dict.fromkeys(slot.name for slot in made)
        self._is_flat = all(slot.path == (slot.name,) for slot in shape.slots)
        self._places = [(slot.path, slot.name, slot.kind == OBJECT) for slot in shape.slots]
        self._key = shape.key
        prefix = f"{shape.name}/{seed}/{start.isoformat()}/"
        self._ids = hashlib.sha1(_IDS.bytes + prefix.encode(), usedforsecurity=False)
        self._encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode
        self.made = 0

    def next(self, now: datetime) -> Event:
        """The next event, at time `now`."""
        record = self._blank.copy()
        for name, make in self._makers:
            record[name] = make(record, now)
        self.made += 1
        key = message_key(self._key, record) if self._key else None
        data = self._encode(record if self._is_flat else self._nested(record))
        return Event(self._id(self.made), rfc3339(now), data, key)

    def batch(self, times: Sequence[datetime]) -> list[Event]:
        """The next events, one for each time."""
        return [self.next(now) for now in times]

    def drain(self) -> list[Event]:
        """What is still held back when no event follows: nothing, here."""
        return []

    def _id(self, number: int) -> str:
        # `uuid.uuid5` of the same bytes: it takes three times as long.
        digest = self._ids.copy()
        digest.update(b"%d" % number)
        h = digest.hexdigest()
        return f"{h[:8]}-{h[8:12]}-5{h[13:16]}-{_VARIANT[h[16]]}{h[17:20]}-{h[20:32]}"

    def _nested(self, record: dict[str, Any]) -> dict[str, Any]:
        message: dict[str, Any] = {}
        for path, name, is_object in self._places:
            place = message
            for part in path[:-1]:
                place = place.setdefault(part, {})
            if is_object:
                place.setdefault(path[-1], {})
            else:
                place[path[-1]] = record[name]
        return message
