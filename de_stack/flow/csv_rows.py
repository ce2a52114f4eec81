"""A CSV file row by row, with the place of whatever cannot be read.

Belongs here: bytes, lines, quotes (RFC 4180, UTF-8, with or without a byte order mark), the file's
checksum. Does not belong here: what columns mean (`contracts.cells`).
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path

from de_stack.failures import PermanentFailure

_BOM = b"\xef\xbb\xbf"
_BLOCK = 2**20
_FIX = "save it as CSV in UTF-8, with quotes doubled inside quotes"


def checksum(path: Path) -> str:
    """SHA-256 of a file's content, in hex.

    Raises:
        PermanentFailure: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                digest.update(block)
    except OSError as error:
        raise _unreadable(path, error) from error
    return digest.hexdigest()


def _unreadable(path: Path, error: OSError) -> PermanentFailure:
    return PermanentFailure(
        f"read {path}", error.strerror or str(error), "name a file of rows", page="unreadable-file"
    )


class CsvRows:
    """Rows of one file, read once. `bytes_read` and `digest` tell how far and what was read."""

    def __init__(self, path: Path) -> None:
        self._path, self._digest = path, hashlib.sha256()
        self.bytes_read = 0
        self._line = 0
        # Lines of the row that is being read, and the number of the first.
        self._open: list[str] = []
        self._first = 1

    @property
    def digest(self) -> str:
        """SHA-256 of what was read so far."""
        return self._digest.hexdigest()

    def __iter__(self) -> Iterator[tuple[int, list[str]]]:
        """(line that the row begins in, its cells); blank lines are no rows.

        Raises:
            PermanentFailure: with file, line and column (counted in characters, from 1).
        """
        try:
            yield from self._rows()
        except OSError as error:
            raise _unreadable(self._path, error) from error

    def _rows(self) -> Iterator[tuple[int, list[str]]]:
        rows = csv.reader(self._lines(), strict=True)
        while True:
            self._open, self._first = [], self._line + 1
            try:
                cells = next(rows)
            except StopIteration:
                return
            except csv.Error as error:
                raise self._failure(*self._fault(), str(error)) from error
            if cells:
                yield self._first, cells

    def _lines(self) -> Iterator[str]:
        with self._path.open("rb") as file:
            for raw in file:
                self._digest.update(raw)
                self.bytes_read += len(raw)
                line = raw.removeprefix(_BOM) if self._line == 0 else raw
                self._line += 1
                try:
                    text = line.decode()
                except UnicodeDecodeError as error:
                    column = len(line[: error.start].decode()) + 1
                    got = f"byte 0x{line[error.start]:02x} is no UTF-8"
                    raise self._failure(self._line, column, got) from error
                self._open.append(text)
                yield text

    def _fault(self) -> tuple[int, int]:
        """Line and column where a row stops being CSV: the parser only knows the line."""
        place, quoted, closed, start = (self._first, 1), False, False, True
        for number, line in enumerate(self._open, self._first):
            for column, letter in enumerate(line, 1):
                if quoted:
                    # A quote ends the cell, or is the first of two.
                    quoted, closed = letter != '"', letter == '"'
                elif closed and letter == '"':
                    quoted, closed = True, False
                elif letter == '"' and start:
                    quoted, start, place = True, False, (number, column)
                elif letter in ",\n" or line[column - 1 :] == "\r\n":
                    start, closed = letter == ",", False
                elif closed or letter == "\r":
                    return number, column
                else:
                    start = False
        # A quote that nobody closes, or a cell without an end: where it began.
        return place

    def _failure(self, line: int, column: int, got: str) -> PermanentFailure:
        where = f"{self._path}, line {line}, column {column}"
        return PermanentFailure(f"read {where}", got, _FIX, page="unreadable-file")
