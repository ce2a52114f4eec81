"""A good event -> one that no contract takes, in one of four forms.

Belongs here: how a message is broken. Does not belong here: which one is (`faults.py`).
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

from de_stack.sources.generator.counts import FORMS
from de_stack.sources.generator.events import Event

# What is put in the place of a value: never a number for a time, which some doors read.
_WRONG: dict[str, Any] = {"string": 17, "str": 17}
_WRONG_TEXT = "not of this type"


@dataclass(frozen=True)
class Target:
    """A value that can be taken away or made another type: its place, its type."""

    path: tuple[str, ...]
    kind: str


class Breaker:
    """Breaks events. `targets` are values that the message must have; none: two forms are left."""

    def __init__(self, targets: tuple[Target, ...], seed: int | str) -> None:
        self._targets = targets
        self._forms = FORMS if targets else ("broken_json", "invalid_utf8")
        self._draw = random.Random(f"{seed}:malformed")  # noqa: S311 - repeatable, not secret

    def __call__(self, event: Event) -> tuple[Event, str]:
        """The broken event, and the form."""
        form = self._draw.choice(self._forms)
        is_json = form in ("wrong_type", "missing_field")
        data = self._changed(event.data, form) if is_json else self._cut(event.data, form)
        return event._replace(data=data, is_json=is_json), form

    def _cut(self, data: bytes, form: str) -> bytes:
        if form == "broken_json":
            # An object without its end is none, wherever it is cut.
            return data[: self._draw.randint(1, max(1, len(data) - 1))]
        at = data.find(b'":"')
        at = at + 3 if at >= 0 else data.find(b'"') + 1
        return data[:at] + b"\xff\xfe" + data[at:]

    def _changed(self, data: bytes, form: str) -> bytes:
        import msgspec

        target = self._draw.choice(self._targets)
        message = msgspec.json.decode(data)
        place = message
        for part in target.path[:-1]:
            place = place[part]
        if form == "missing_field":
            del place[target.path[-1]]
        else:
            was = place[target.path[-1]]
            kind = "string" if target.kind == "any" and isinstance(was, str) else target.kind
            place[target.path[-1]] = _WRONG.get(kind, _WRONG_TEXT)
        return msgspec.json.encode(message)
