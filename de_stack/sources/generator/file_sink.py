"""Events -> the end of a file, one message per line (NDJSON).

Belongs here: whole lines, whatever happens. Does not belong here: what is in them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from pathlib import Path

from de_stack.failures import PermanentFailure
from de_stack.sources.generator.events import Event
from de_stack.sources.generator.sinks import Sent, lines_of


class File:
    """Appends to a file, so that nothing that is in it is lost.

    A batch is written in one call. What a full disk has cut is taken back to its last whole line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("ab", buffering=0)
            self.found_bytes = self._file.seek(0, os.SEEK_END)
            # A line that a kill has cut is ended: the next one must not be glued to it.
            self.had_cut_line = self.found_bytes > 0 and self._last_byte() != b"\n"
            if self.had_cut_line:
                self._file.write(b"\n")
        except OSError as error:
            raise self._failure(error) from error

    def send(self, events: Sequence[Event]) -> Sent:
        """Append.

        Raises:
            PermanentFailure: it cannot be written, e.g. the disk is full.
        """
        lines = lines_of(events)
        begin = self._file.seek(0, os.SEEK_END)
        written = 0
        try:
            while written < len(lines):
                written += self._file.write(lines[written:]) or 0
        except OSError as error:
            whole = lines.rfind(b"\n", 0, written) + 1
            self._file.truncate(begin + whole)
            if whole:
                return Sent(again=events[lines[:whole].count(b"\n") :])
            raise self._failure(error) from error
        return Sent()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _last_byte(self) -> bytes:
        with self._path.open("rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1)

    def _failure(self, error: OSError) -> PermanentFailure:
        fix = {
            errno.ENOSPC: "make room on the disk",
            errno.EACCES: "name a file that you may write",
            errno.EISDIR: "name a file, not a folder",
        }.get(error.errno or 0, "name another file with --out")
        return PermanentFailure(f"write events to {self._path}", error.strerror or str(error), fix)
