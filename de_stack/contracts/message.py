"""A contract's message as a msgspec type.

Belongs here: field -> type with its bounds, where each field is found in a decoded message, and the
JSON object that has each value at its place.
Does not belong here: what JSON allows and we do not (`strict.py`), the outcome of decoding
(`decode.py`).
"""

from __future__ import annotations

import json
from datetime import date, datetime
from typing import Annotated, Any, Literal

from de_stack.contracts.model import Field

# Spark's long. Without a bound a 300-digit integer would pass here and fail in the write.
LONG = (-(2**63), 2**63 - 1)
Attributes = dict[str, tuple[str, ...]]


def message_type(fields: tuple[Field, ...], depth: int = 0) -> tuple[type, Attributes]:
    """A msgspec Struct for an object (and those below it), and field -> attributes from the top."""
    import msgspec

    members: list[tuple[Any, ...]] = []
    attributes: Attributes = {}
    for number, part in enumerate(dict.fromkeys(f.path[depth] for f in fields)):
        name = f"f{number}"
        below = tuple(f for f in fields if f.path[depth] == part)
        if len(below[0].path) == depth + 1:
            kind, found = _leaf_type(below[0]), {below[0].name: ()}
        else:
            kind, found = message_type(below, depth + 1)
        attributes |= {field: (name, *rest) for field, rest in found.items()}
        if any(f.required for f in below):
            members.append((name, kind, msgspec.field(name=part)))
        else:
            members.append((name, kind | None, msgspec.field(name=part, default=None)))
    # Optional parts may stand before required ones.
    # Leaves and objects of leaves make no cycles; looking for them took as long as the parsing.
    return msgspec.defstruct("Message", members, kw_only=True, gc=False), attributes


def _leaf_type(field: Field) -> Any:
    from msgspec import Meta

    if field.allowed:
        return Literal[field.allowed]
    if field.type == "string":
        return Annotated[
            str,
            Meta(min_length=field.min_length, max_length=field.max_length, pattern=field.pattern),
        ]
    if field.type == "integer":
        low = LONG[0] if field.minimum is None else int(field.minimum)
        high = LONG[1] if field.maximum is None else int(field.maximum)
        return Annotated[int, Meta(ge=low, le=high)]
    if field.type == "number":
        return Annotated[float, Meta(ge=field.minimum, le=field.maximum)]
    if field.type == "timestamp":
        return Annotated[datetime, Meta(tz=True)]
    return {"boolean": bool, "date": date}[field.type]


def value_at(message: Any, attributes: tuple[str, ...]) -> Any:
    """A field's value; None where it, or an object above it, is not there."""
    for name in attributes:
        if message is None:
            return None
        message = getattr(message, name)
    return message


def object_of(members: list[tuple[Field, str]], depth: int = 0) -> str:
    """The JSON object that has each value (a JSON text) at its field's path."""
    parts: list[str] = []
    for part in dict.fromkeys(field.path[depth] for field, _ in members):
        below = [m for m in members if m[0].path[depth] == part]
        leaves = [value for field, value in below if len(field.path) == depth + 1]
        values = leaves or [object_of(below, depth + 1)]
        parts += [f"{json.dumps(part)}:{value}" for value in values]
    return "{" + ",".join(parts) + "}"
