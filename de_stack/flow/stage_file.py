"""A day file, read whole before anything is written: its rows in a Delta table of their own.

Belongs here: file -> rows against the contract -> that table, and what was found on the way. Does
not belong here: the lake (`load.py`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from de_stack.contracts.cells import Header, Row, row_decoder
from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.flow.csv_rows import CsvRows
from de_stack.flow.day_files import batch, bronze_schema

if TYPE_CHECKING:
    import pyarrow as pa

    from de_stack.contracts.day_files import DayFiles

# (bytes read, rows read)
Progress = Callable[[int, int], None]
_BATCH_ROWS = 20_000


@dataclass
class Staged:
    """Rows of one file at `uri`: good ones by event day, bad ones by `code:field`."""

    uri: str
    name: str
    digest: str
    day: date
    rows: int = 0
    days: Counter[datetime] = field(default_factory=Counter)
    bad: Counter[str] = field(default_factory=Counter)
    ignored: tuple[str, ...] = ()

    def reader(self) -> pa.RecordBatchReader:
        """The rows; may be read again."""
        from deltalake import DeltaTable

        return DeltaTable(self.uri).to_pyarrow_dataset().scanner().to_reader()


def stage(
    files: DayFiles,
    path: Path,
    digest: str,
    day: date,
    folder: Path,
    now: datetime,
    progress: Progress,
) -> Staged:
    """Read a file.

    Args:
        files: the contract.
        path: the file.
        digest: its checksum; it must not change while it is read.
        day: the day of its name.
        folder: where the table is made.
        now: bounds the event times.
        progress: told after each batch.

    Raises:
        PermanentFailure: a place that cannot be read, or a column is missing.
        TransientFailure: somebody wrote to the file meanwhile.
    """
    from deltalake import DeltaTable, write_deltalake

    tried, source = f"read {path}", CsvRows(path)
    found = Staged(str(folder), path.name, digest, day)
    DeltaTable.create(found.uri, schema=bronze_schema(files))
    lines = iter(source)
    first = next(lines, None)
    if first is None:
        fix = f"its first row names the columns: {', '.join(f.name for f in files.fields)}"
        raise PermanentFailure(tried, "it is empty", fix, page="day-file")
    header = Header.of(files, first[1], tried)
    found.ignored = tuple(dict.fromkeys(header.ignored))
    rows = _decoded(files, header, lines, now)
    while part := list(islice(rows, _BATCH_ROWS)):
        made = batch(files, (path.name, digest, day), part)
        write_deltalake(found.uri, made, mode="append")
        found.rows += made.num_rows
        found.days.update(start for start in made["event_hour"].to_pylist() if start)
        found.bad.update(r.error.partition(": ")[0].rstrip(":") for *_, r in part if r.error)
        progress(source.bytes_read, found.rows)
    if source.digest != digest:
        raise TransientFailure(
            tried,
            "it was written to meanwhile",
            "load it when it is complete",
            page="unreadable-file",
        )
    return found


def _decoded(
    files: DayFiles, header: Header, lines: Iterator[tuple[int, list[str]]], now: datetime
) -> Iterator[tuple[int, int, Row]]:
    decode = row_decoder(files, header, now)
    for number, (line, cells) in enumerate(lines, 1):
        yield number, line, decode(cells)
