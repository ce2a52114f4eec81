"""A file -> a table of DuckDB, one column for each of the file's.

Belongs here: reading CSV as `replay` reads it, Parquet by DuckDB, what is no row. Does not belong
here: what the columns hold (`profile.py`).

Two readers that each guess how a file is meant do not agree on all files: a contract is drafted
from what will be sent.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure
from de_stack.sources.replay.csv_file import CsvFile
from de_stack.sources.replay.files import open_file

if TYPE_CHECKING:
    import duckdb

_CSV = (".csv", ".tsv")
_AT_ONCE = 20_000
_SHOWN = 60


@dataclass(frozen=True)
class How:
    """How a CSV file is read; None is what `replay` takes by itself."""

    delimiter: str | None = None
    encoding: str | None = None


@dataclass(frozen=True)
class Table:
    """A table `t` with columns `c0`, `c1`, ...; `headers` are None where a column has no name."""

    db: duckdb.DuckDBPyConnection
    columns: tuple[str, ...]
    headers: tuple[str | None, ...]
    kinds: tuple[str, ...]


@contextmanager
def table(path: Path, how: How, tried: str) -> Iterator[Table]:
    """The file's rows.

    Raises:
        PermanentFailure: it cannot be read, with the line and what is wrong with it.
    """
    import duckdb

    if path.suffix.lower() not in (*_CSV, ".parquet"):
        got = path.suffix or "no ending"
        raise PermanentFailure(tried, got, "give a .csv or .parquet", page="new-stream")
    if not path.is_file():
        raise PermanentFailure(tried, "there is no such file", "mind the path", page="new-stream")
    db = duckdb.connect()
    try:
        db.execute("set timezone = 'UTC'")
        source = open_file(path, how.delimiter, True, how.encoding)
        if isinstance(source, CsvFile):
            yield _csv(db, path, source, how, tried)
        else:
            yield _parquet(db, path)
    except duckdb.Error as error:
        said = " ".join(str(error).split())
        raise PermanentFailure(tried, said, "mend the file", page="new-stream") from error
    finally:
        db.close()


def excerpt_of(path: Path, how: How, to: Path, rows: int) -> None:
    """Write the first rows of a file as CSV with commas, header included.

    Raises:
        PermanentFailure: the file cannot be read.
    """
    with table(path, how, f"read {path}") as found:
        kept = found.db.execute("select * from t limit ?", [rows]).fetchall()
    with to.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow([header or "" for header in found.headers])
        out.writerows(["" if _is_nothing(value) else value for value in row] for row in kept)


def _is_nothing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _csv(db: duckdb.DuckDBPyConnection, path: Path, source: CsvFile, how: How, tried: str) -> Table:
    import pyarrow as pa

    first = next(iter(CsvFile(path, how.delimiter, False, how.encoding).rows(_places(source))))
    named = [isinstance(cell, str) and bool(cell.strip()) for cell in first]
    names = tuple(f"c{place}" for place in range(len(source.columns)))
    listed = ", ".join(f"{name} varchar" for name in names)
    db.execute(f"create table t ({listed})")
    rows, number = iter(source.rows(source.columns)), 0
    while batch := list(islice(rows, _AT_ONCE)):
        for row in batch:
            number += 1
            if isinstance(row, bytes):
                raise _no_row(path, source, row, tried)
        whole: list[Sequence[Any]] = [row for row in batch if not isinstance(row, bytes)]
        try:
            arrays = [pa.array(list(cells), pa.string()) for cells in zip(*whole, strict=True)]
        except UnicodeEncodeError:
            raise _no_text(source, whole, tried) from None
        db.register("batch", pa.table(arrays, names=list(names)))
        db.execute("insert into t select * from batch")
        db.unregister("batch")
    headers = tuple(n if is_one else None for n, is_one in zip(source.columns, named, strict=True))
    return Table(db, names, headers, ("VARCHAR",) * len(names))


def _places(source: CsvFile) -> list[str]:
    return [f"column{place}" for place in range(1, len(source.columns) + 1)]


def _no_row(path: Path, source: CsvFile, row: bytes, tried: str) -> PermanentFailure:
    text = row.decode("utf-8", "replace")
    begin = text.splitlines()[0] if text else ""
    line = _line(path, source.encoding, begin)
    try:
        cells = len(
            next(csv.reader(text.splitlines(True), delimiter=source.delimiter, strict=True))
        )
        wrong = f"has {cells} cells, the header has {len(source.columns)}"
    except (csv.Error, StopIteration):
        wrong = "has a quote that does not end, or text after one"
    fix = "mend it; what stands before the header has to go"
    got = f"line {line} {wrong}: {begin[:_SHOWN]!r}"
    return PermanentFailure(tried, got, fix, page="new-stream")


def _no_text(source: CsvFile, rows: Sequence[Sequence[Any]], tried: str) -> PermanentFailure:
    odd = next(
        cell
        for row in rows
        for cell in row
        if cell and any("\ud800" <= c <= "\udfff" for c in cell)
    )
    shown = odd.encode("utf-8", "surrogateescape")[:_SHOWN]
    got = f"{shown!r} is no {source.encoding.removesuffix('-sig')}"
    return PermanentFailure(tried, got, "--encoding cp1252, say", page="new-stream")


def _line(path: Path, encoding: str, begin: str) -> int | str:
    with path.open(encoding=encoding, errors="replace") as file:
        for number, line in enumerate(file, 1):
            if line.rstrip("\r\n") == begin:
                return number
    return "?"


def _parquet(db: duckdb.DuckDBPyConnection, path: Path) -> Table:
    import pyarrow.parquet as pq

    db.execute("create table read as select * from read_parquet(?)", [str(path)])
    described = db.execute("describe read").fetchall()
    names = tuple(f"c{place}" for place in range(len(described)))
    listed = ", ".join(
        f'"{str(row[0]).replace(chr(34), chr(34) * 2)}" as {name}'
        for row, name in zip(described, names, strict=True)
    )
    db.execute(f"create view t as select {listed} from read")  # noqa: S608 - the names are quoted
    with pq.ParquetFile(path) as file:
        # DuckDB gives another name to one that differs in capitals only.
        headers = tuple(file.schema_arrow.names)
    return Table(db, names, headers, tuple(str(row[1]) for row in described))
