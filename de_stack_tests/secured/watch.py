"""Where a password may not be seen.

Belongs here: the arguments of every process of this machine while something runs, what files and
databases hold afterwards. Does not belong here: which passwords there are.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Self

import psutil
import psycopg
from psycopg import sql

_EVERY_S = 0.2


def pattern(secrets: Iterable[str]) -> re.Pattern[bytes]:
    """What finds any of them."""
    return re.compile("|".join(map(re.escape, secrets)).encode())


class Arguments:
    """Looks at the arguments of all processes five times a second, until the block ends.

    `seen` has each command line once; a process that lives for less than that may be missed.
    """

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ended.wait(_EVERY_S):
            for process in psutil.process_iter():
                with suppress(psutil.Error):
                    self.seen.add(" ".join(process.cmdline()))


def files(place: Path) -> Iterator[tuple[str, bytes]]:
    """(path, content) of a file, or of every file below a folder.

    Nothing of what goes while it is looked at: services rename and remove files all the time.
    """
    # `rglob` fails where a folder goes.
    below = (Path(folder, name) for folder, _, names in os.walk(place) for name in names)
    for path in sorted((place, *below)):
        with suppress(FileNotFoundError):
            if path.is_file():
                yield str(path), path.read_bytes()


def rows(dsn: str, database: str) -> Iterator[tuple[str, bytes]]:
    """(table, all its rows) of every table of a database."""
    with psycopg.connect(dsn, connect_timeout=10) as db:
        tables = db.execute(
            "select schemaname, tablename from pg_tables "
            "where schemaname not in ('pg_catalog', 'information_schema')"
        ).fetchall()
        for name in tables:
            found = db.execute(sql.SQL("select t::text from {} t").format(sql.Identifier(*name)))
            yield f"{database}.{'.'.join(name)}", "\n".join(row for (row,) in found).encode()
