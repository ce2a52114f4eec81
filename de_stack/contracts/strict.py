"""What JSON parsers let pass and we do not: no UTF-8, deep nesting, a key that stands twice.

Belongs here: faults of a message as a text, whatever its contract says of values. Does not belong
here: types and ranges (`message.py`), error codes (`decode.py`).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import Any

# Parsers stop at a depth that depends on the caller's stack: the door and the landing would differ.
MAX_DEPTH = 100
_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"', re.DOTALL)
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


def not_text(value: bytes) -> str | None:
    """Why the bytes are no UTF-8. Parsers do not look into fields that they skip."""
    if not value.isascii():
        try:
            value.decode()
        except UnicodeDecodeError as error:
            return str(error)
    return None


def too_deep(value: bytes) -> bool:
    """True where objects and arrays are nested deeper than `MAX_DEPTH`."""
    if value.count(b"[") + value.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in _STRINGS.sub(b"", value).translate(None, _NO_BRACKET):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


class _Object(dict[str, Any]):
    """A JSON object that remembers the keys which stood in it more than once."""

    twice: frozenset[str]


def _object(items: list[tuple[str, Any]]) -> _Object:
    made = _Object(items)
    seen = Counter(key for key, _ in items) if len(made) < len(items) else {}
    made.twice = frozenset(key for key, times in seen.items() if times > 1)
    return made


def duplicate_key(value: bytes, paths: list[tuple[str, ...]]) -> str | None:
    """The first part of the contract's paths that stands twice in its object, in any spelling.

    Duplicates in places that the contract does not name decide nothing and pass. `value` is valid
    JSON.
    """
    # Numbers stay texts: Python refuses to convert 5,000 digits.
    top = json.loads(value.decode(), object_pairs_hook=_object, parse_int=str, parse_float=str)
    for path in paths:
        node = top
        for depth, part in enumerate(path, 1):
            if not isinstance(node, _Object):
                break
            if part in node.twice:
                return ".".join(path[:depth])
            node = node.get(part)
    return None
