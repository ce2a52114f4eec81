"""Where the values of a JSON text stand in it.

Belongs here: paths -> places in the text, so that one value can be replaced and all else stays byte
for byte. Does not belong here: what is put there; what JSON allows (`contracts.strict`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]

Span = tuple[int, int]
# Numbers stay texts: Python refuses to convert 5,000 digits.
_VALUE = json.JSONDecoder(parse_int=str, parse_float=str, strict=True)
_BLANK = re.compile(r"[ \t\r\n]*")


def spans(text: str, path: tuple[str, ...], start: int = 0) -> list[Span]:
    """The places of a path's values; several where a key stands twice, none where it is not there.

    Raises:
        ValueError: the text is no JSON up to there.
    """
    found: list[Span] = []
    for name, begin, end in _members(text, start):
        if name == path[0]:
            found += [(begin, end)] if len(path) == 1 else spans(text, path[1:], begin)
    return found


def _members(text: str, start: int) -> Iterator[tuple[str, int, int]]:
    """(key, begin and end of its value) of an object; nothing of any other value."""
    at = _after_blank(text, start)
    if text[at : at + 1] != "{":
        return
    at = _after_blank(text, at + 1)
    while text[at : at + 1] == '"':
        name, at = scanstring(text, at + 1, True)
        at = _after_blank(text, at)
        if text[at : at + 1] != ":":
            raise ValueError("no colon after a key")
        begin = _after_blank(text, at + 1)
        _, end = _VALUE.raw_decode(text, begin)
        yield name, begin, end
        at = _after_blank(text, end)
        if text[at : at + 1] != ",":
            break
        at = _after_blank(text, at + 1)


def _after_blank(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at
