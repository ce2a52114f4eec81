"""Where the values of a JSON text stand in it.

Belongs here: paths -> places in the text, so that one value can be replaced and all else stays byte
for byte. Does not belong here: what is put there; what JSON allows (`contracts.strict`).
"""

from __future__ import annotations

import json
import re
from json.decoder import scanstring  # type: ignore[attr-defined]

Span = tuple[int, int]
_COLON = re.compile(r"[ \t\r\n]*:[ \t\r\n]*")
_NEXT = re.compile(r'[ \t\r\n]*,[ \t\r\n]*"')
_FIRST = re.compile(r'[ \t\r\n]*\{[ \t\r\n]*"')


class Spans:
    """The places in one text; each object is looked through once."""

    def __init__(self, text: str) -> None:
        self.text = text
        # Numbers stay texts: Python refuses to convert 5,000 digits. One for each text: it does not
        # travel to Spark's workers as a part of this module.
        self._value = json.JSONDecoder(parse_int=str, parse_float=str, strict=True).raw_decode
        self._known: dict[int, list[tuple[str, int, int]]] = {}

    def of(self, path: tuple[str, ...], start: int = 0) -> list[Span]:
        """The places of a path's values; several where a key stands twice, none where it is not.

        Raises:
            ValueError: the text is no JSON up to there.
        """
        found: list[Span] = []
        for name, begin, end in self._members(start):
            if name == path[0]:
                found += [(begin, end)] if len(path) == 1 else self.of(path[1:], begin)
        return found

    def _members(self, start: int) -> list[tuple[str, int, int]]:
        """(key, begin and end of its value) of an object; nothing of any other value."""
        if start not in self._known:
            self._known[start] = found = []
            text, key = self.text, _FIRST.match(self.text, start)
            while key:
                name, at = scanstring(text, key.end(), True)
                colon = _COLON.match(text, at)
                if not colon:
                    raise ValueError("no colon after a key")
                _, end = self._value(text, colon.end())
                found.append((name, colon.end(), end))
                key = _NEXT.match(text, end)
        return self._known[start]
