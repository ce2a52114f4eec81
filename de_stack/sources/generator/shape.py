"""What the events of one run are made of: values, their places in the message, the key.

Belongs here: `Slot` and `Shape`, and the rule that places must not collide. Does not belong here:
files (`config.py`, `original.py`), making events (`events.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from de_stack.sources.generator.function import Function

if TYPE_CHECKING:
    from de_stack.contracts import Stream

# The kind of a slot that is an object for the places below it.
OBJECT = "object"


@dataclass(frozen=True)
class Slot:
    """One value of a message: its name, its place (outermost first), its type, what makes it.

    `kind` is a contract's type, `any` (as the function makes it) or `object`.
    """

    name: str
    path: tuple[str, ...]
    kind: str
    function: Function


@dataclass(frozen=True)
class Shape:
    """All values of a message, in their order there.

    Args:
        name: whose events they are; a part of their ids.
        slots: the values.
        key: names of the slots whose values make the Kafka key; none: events have no key.
    """

    name: str
    slots: tuple[Slot, ...]
    key: tuple[str, ...] = ()

    def slot(self, name: str) -> Slot | None:
        """The slot called `name`."""
        return next((slot for slot in self.slots if slot.name == name), None)

    def at(self, path: tuple[str, ...]) -> Slot | None:
        """The slot at a place of the message."""
        return next((slot for slot in self.slots if slot.path == path), None)


def collision(slots: Iterable[Slot]) -> tuple[str, str] | None:
    """(name, reason) of the first slot that cannot be where it is; None where all have room."""
    taken: dict[tuple[str, ...], Slot] = {}
    slots = list(slots)
    for slot in slots:
        if other := taken.get(slot.path):
            return slot.name, f"{'.'.join(slot.path)} is the place of {other.name} already"
        taken[slot.path] = slot
    for slot in slots:
        for depth in range(1, len(slot.path)):
            above = taken.get(slot.path[:depth])
            if above is not None and above.kind != OBJECT:
                reason = (
                    f"{'.'.join(slot.path)} is inside {'.'.join(above.path)}, "
                    f"where {above.name} is a value and no object"
                )
                return slot.name, reason
    return None


def key_of(stream: Stream, slots: Iterable[Slot]) -> tuple[str, ...]:
    """The slots at the places of the contract's key; none where one of them is not made."""
    names = {slot.path: slot.name for slot in slots}
    places = [stream.field(name).path for name in stream.key]
    return tuple(names[p] for p in places) if all(p in names for p in places) else ()
