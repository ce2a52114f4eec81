"""CSV, as people have it: BOM, quotes, texts of several lines, an unnamed index column.

Belongs here: text -> rows of cells, what is no row. Does not belong here: types, which column is
which field.

Python's reader and not a faster one: those that guess types or lines drop what does not fit, or end
at it. A row that has other cells than the header is given as the bytes that it came as.
"""

from __future__ import annotations

import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO

from de_stack.failures import PermanentFailure
from de_stack.sources.replay.source import Row

DELIMITERS = ",;\t|"
# A quote that is never closed would swallow the rest of the file.
_MOST_TEXT = 1_000_000
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "bar"}


class _TooLong(Exception):
    pass


class CsvFile:
    """Rows of a CSV file. Empty cells are None, and so are those that say one of `nulls`."""

    def __init__(
        self,
        path: Path,
        delimiter: str | None = None,
        header: bool = True,
        encoding: str | None = None,
        nulls: Sequence[str] = (),
    ) -> None:
        self._nothing = frozenset(("", *nulls))
        self._path, self._header = path, header
        self._size = max(path.stat().st_size, 1)
        self.encoding = encoding or _encoding_of(path)
        self._raw: BinaryIO | None = None
        self._used: list[str] = []
        self.note: str | None = None
        self.delimiter = delimiter or self._find_delimiter()
        first = next((r for r in self._records() if r), None)
        if first is None or isinstance(first, bytes):
            got = "it is empty" if first is None else "its first line is no row of cells"
            raise PermanentFailure(f"read the header of {path}", got, page="unreadable-file")
        self.columns = _names(first) if header else tuple(f"column{i}" for i in _count(first))

    def rows(self, wanted: Sequence[str]) -> Iterator[Row]:
        """See `Source`."""
        places, width = [self.columns.index(name) for name in wanted], len(self.columns)
        take = itemgetter(*places) if len(places) > 1 else lambda r: tuple(r[p] for p in places)
        records, nothing = self._records(), self._nothing
        if self._header:
            next((r for r in records if r), None)
        for record in records:
            if isinstance(record, bytes):
                yield record
            elif len(record) == width:
                cells = take(record)
                if nothing.isdisjoint(cells):
                    yield cells
                else:
                    yield [None if cell in nothing else cell for cell in cells]
            elif record:
                yield _bytes("".join(self._used))

    def fraction(self) -> float:
        """See `Source`."""
        if self._raw is None or self._raw.closed:
            return 0.0
        return self._raw.tell() / self._size

    def _records(self) -> Iterator[list[str] | bytes]:
        """Lists of cells; bytes of a line that is none, after which reading goes on."""
        with self._path.open("rb") as self._raw:
            text = io.TextIOWrapper(self._raw, self.encoding, "surrogateescape", newline="")
            again: deque[str] = deque()
            used = self._used = list[str]()
            csv.field_size_limit(2 * _MOST_TEXT)
            while True:
                lines = self._lines(text, again, used)
                reader = csv.reader(lines, delimiter=self.delimiter, strict=True)
                try:
                    for record in reader:
                        yield record
                        used.clear()
                except (csv.Error, _TooLong):
                    # The first of its lines is no row; what came after it may be rows.
                    again.extendleft(reversed(used[1:]))
                    yield _bytes(used[0])
                    used.clear()
                else:
                    return

    def _lines(self, text: io.TextIOWrapper, again: deque[str], used: list[str]) -> Iterator[str]:
        """Lines, those to be read again first; `used` are those of the row under way."""
        taken = 0
        while line := again.popleft() if again else self._line(text):
            used.append(line)
            taken = len(line) if len(used) == 1 else taken + len(line)
            if taken >= _MOST_TEXT and len(used) > 1:
                raise _TooLong
            if len(line) == _MOST_TEXT and line[-1] != "\n":
                got = f"a line begins with {line[:40]!r} and has over {_MOST_TEXT:,} characters"
                raise PermanentFailure(
                    f"read {self._path}", got, "is it a CSV file?", page="unreadable-file"
                )
            yield line

    def _line(self, text: io.TextIOWrapper) -> str:
        try:
            return text.readline(_MOST_TEXT)
        except (OSError, UnicodeError) as error:
            got = f"{type(error).__name__}: {error}"
            raise PermanentFailure(
                f"read {self._path}",
                got,
                "--encoding, if it is another one",
                page="unreadable-file",
            ) from error

    def _find_delimiter(self) -> str:
        with self._path.open(encoding=self.encoding, errors="surrogateescape") as file:
            line = file.readline(_MOST_TEXT)
        outside = "".join(line.split('"')[::2])
        found = max(DELIMITERS, key=outside.count)
        if found != "," and outside.count(found):
            self.note = f"cells are separated by a {_NAMES[found]}, as in the first line"
            return found
        return ","


def _bytes(text: str) -> bytes:
    return text.rstrip("\r\n").encode("utf-8", "surrogateescape")


def _encoding_of(path: Path) -> str:
    with path.open("rb") as raw:
        mark = raw.read(2)
    return "utf-16" if mark in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def _count(cells: Sequence[str]) -> range:
    return range(1, len(cells) + 1)


def _names(header: Sequence[str]) -> tuple[str, ...]:
    """The header's names; one without a name is called by its place, a second one gets a number."""
    names: list[str] = []
    for place, cell in enumerate(header, 1):
        base = name = cell.strip() or f"column{place}"
        number = 1
        while name in names:
            number += 1
            name = f"{base}_{number}"
        names.append(name)
    return tuple(names)
