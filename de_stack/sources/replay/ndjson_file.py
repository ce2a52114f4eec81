"""NDJSON: one object per line, nested ones by dotted names.

Belongs here: lines -> cells, what is no object. Does not belong here: types, which name is which
field.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO

from de_stack.contracts.strict import duplicate_key
from de_stack.failures import PermanentFailure
from de_stack.sources.replay.source import Row

# Names are those of the first lines; a file has no header.
LOOK = 1000
_LONGEST = 16_000_000


class NdjsonFile:
    """Objects of a file of JSON lines. Blank lines are no rows."""

    def __init__(self, path: Path) -> None:
        self._path, self._raw = path, None
        self._size = max(path.stat().st_size, 1)
        found: dict[str, None] = {}
        for _, value in islice(self._lines(), LOOK):
            if isinstance(value, dict):
                found |= dict.fromkeys(_leaves(value))
        self.columns = tuple(found)
        self.note: str | None = f"columns are those of the first {LOOK:,} lines"
        self._raw: BinaryIO | None

    def rows(self, wanted: Sequence[str]) -> Iterator[Row]:
        """See `Source`."""
        paths = [tuple(name.split(".")) for name in wanted]
        names = {b'"%s"' % part.encode() for path in paths for part in path}
        for line, value in self._lines():
            if not isinstance(value, dict) or _repeats(line, names, paths):
                yield line
                continue
            yield [
                value[name] if name in value else _at(value, path)
                for name, path in zip(wanted, paths, strict=True)
            ]

    def fraction(self) -> float:
        """See `Source`."""
        if self._raw is None or self._raw.closed:
            return 0.0
        return self._raw.tell() / self._size

    def _lines(self) -> Iterator[tuple[bytes, Any]]:
        """(line, what it says); an exception in the place of what is no JSON."""
        import msgspec

        decode = msgspec.json.Decoder().decode
        with self._path.open("rb") as raw:
            self._raw = raw
            for number in range(1, 2**62):
                try:
                    line = raw.readline(_LONGEST)
                except OSError as error:
                    raise PermanentFailure(
                        f"read {self._path}", str(error), page="unreadable-file"
                    ) from error
                if not line:
                    return
                if len(line) == _LONGEST:
                    got = f"line {number} has more than {_LONGEST:,} bytes"
                    raise PermanentFailure(
                        f"read {self._path}", got, "is it NDJSON?", page="unreadable-file"
                    )
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                line = line.strip()
                if not line:
                    continue
                try:
                    yield line, decode(line)
                except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                    yield line, error


def _leaves(value: dict[str, Any], above: str = "") -> Iterator[str]:
    for name, below in value.items():
        if isinstance(below, dict) and below:
            yield from _leaves(below, f"{above}{name}.")
        else:
            yield f"{above}{name}"


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if not isinstance(value, dict):
            return None
        value = value.get(part)
    return value


def _repeats(line: bytes, names: set[bytes], paths: list[tuple[str, ...]]) -> bool:
    """True where a wanted name stands twice in its object: which one is meant, nobody knows."""
    if b"\\" not in line and all(line.count(name) < 2 for name in names):
        return False
    return duplicate_key(line, paths) is not None
