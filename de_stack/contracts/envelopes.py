"""The word `envelopes` of a contract -> `Envelope`s, or a refusal.

Belongs here: our rules for other forms of a record. Does not belong here: taking an item out of its
envelope (`sources/collector/unwrap.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from de_stack.contracts.model import Envelope, Field
from de_stack.contracts.words import ContractError, Words


def envelopes_of(
    path: Path, where: str, given: list[Any], fields: tuple[Field, ...], event_time: str
) -> tuple[Envelope, ...]:
    """The envelopes of a stream, in the order in which they are tried.

    Each is a mapping: `name`, `fields` (field -> dotted path, or a list of them), and if need be
    `defaults` (field -> text).

    Raises:
        ContractError: one is broken, or could never make a record.
    """
    found: list[Envelope] = []
    for number, words in enumerate(given):
        place = f"{where}.envelopes.{number}"
        reader = Words(path, place, words)
        name = reader.text("name")
        if name in {e.name for e in found}:
            raise ContractError(path, f"{place}.name", f"{name!r} stands twice")
        paths = {
            field: _paths(path, f"{place}.fields.{field}", value)
            for field, value in reader.mapping("fields").items()
        }
        envelope = Envelope(name, paths, reader.mapping("defaults", {}))
        reader.done()
        _check(path, place, envelope, fields, event_time)
        found.append(envelope)
    return tuple(found)


def _paths(path: Path, where: str, value: Any) -> tuple[tuple[str, ...], ...]:
    texts = value if isinstance(value, list) else [value]
    if not texts or not all(isinstance(text, str) and all(text.split(".")) for text in texts):
        raise ContractError(path, where, f"{value!r} is no dotted path, nor a list of them")
    return tuple(tuple(text.split(".")) for text in texts)


def _check(
    path: Path, where: str, envelope: Envelope, fields: tuple[Field, ...], event_time: str
) -> None:
    known = {f.name: f for f in fields}
    for name in (*envelope.paths, *envelope.defaults):
        if name not in known:
            reason = f"no field {name!r}: one of {', '.join(known)}"
            raise ContractError(path, where, reason)
    for name, text in envelope.defaults.items():
        if not isinstance(text, str) or known[name].type != "string":
            raise ContractError(path, f"{where}.defaults.{name}", "only texts have a default")
    if event_time not in envelope.paths:
        # It is what an item is recognised by.
        raise ContractError(path, f"{where}.fields", f"needs {event_time}, the event time")
    left = [f.name for f in fields if f.required and f.name not in envelope.paths]
    if missing := [name for name in left if name not in envelope.defaults]:
        raise ContractError(path, f"{where}.fields", f"needs {', '.join(missing)}, or a default")
