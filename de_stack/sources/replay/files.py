"""Opens a file by its name's end, and tells what is in it by its bytes.

Belongs here: which reader, the content's hash. Does not belong here: the formats.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from de_stack.failures import PermanentFailure
from de_stack.sources.replay.csv_file import CsvFile
from de_stack.sources.replay.ndjson_file import NdjsonFile
from de_stack.sources.replay.parquet_file import ParquetFile
from de_stack.sources.replay.source import Source

ENDS = {
    "csv": "csv",
    "tsv": "csv",
    "parquet": "parquet",
    "ndjson": "ndjson",
    "jsonl": "ndjson",
}


def open_file(
    path: Path,
    delimiter: str | None = None,
    header: bool = True,
    encoding: str | None = None,
    nulls: Sequence[str] = (),
) -> Source:
    """The reader of a file.

    Raises:
        PermanentFailure: an unknown format, not readable, or without a header.
    """
    kind = ENDS.get(path.suffix.lower().lstrip("."))
    tried = f"read {path}"
    if kind is None:
        known = ", ".join(f".{end}" for end in ENDS)
        raise PermanentFailure(
            tried, f"its name does not end with one of {known}", page="unreadable-file"
        )
    if kind != "csv" and (delimiter or encoding or nulls or not header):
        got = "--delimiter, --encoding, --null and --no-header are for CSV files only"
        raise PermanentFailure(tried, got, page="unreadable-file")
    try:
        if kind == "csv":
            return CsvFile(path, delimiter, header, encoding, nulls)
        return NdjsonFile(path) if kind == "ndjson" else ParquetFile(path)
    except (OSError, LookupError, UnicodeError) as error:
        raise PermanentFailure(
            tried, f"{type(error).__name__}: {error}", page="unreadable-file"
        ) from error


def stamp(path: Path) -> tuple[int, int]:
    """What changes when somebody writes to a file: size and time."""
    found = path.stat()
    return found.st_size, found.st_mtime_ns


def sha256(path: Path) -> str:
    """Hash of the content, 64 hex digits: the same file under another name is the same."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
