"""The bronze table of day files: every row as it came, typed where the contract holds.

Belongs here: its columns and their order, its place, rows of a file -> Arrow. Does not belong here:
reading files (`csv_rows.py`), loading (`load.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from de_stack import partitions
from de_stack.contracts.cells import Row
from de_stack.contracts.columns import arrow_types
from de_stack.contracts.schemas import SPARK_TYPES, spark_type
from de_stack.flow.tables import Table
from de_stack.resources.lake import Lake

if TYPE_CHECKING:
    import pyarrow as pa

    from de_stack.contracts.day_files import DayFiles
    from de_stack.settings import Settings

STATS = ("file", "event_time", "event_hour", "error")
# (name, type as contracts call it, description); the nested ones are made from the contract.
_COLUMNS = (
    ("file", "string", "Name of the file, without its folder"),
    ("file_sha256", "string", "Checksum of its content"),
    ("file_day", "date", "Day that its name tells"),
    ("row", "integer", "Number of the row in the file, from 1, without the header"),
    ("line", "integer", "Line of the file that the row begins in"),
    ("event_time", "timestamp", "When it happened; null for a bad row"),
    (
        "event_hour",
        "timestamp",
        "Start of the day of the event time, UTC, whatever the file's name says",
    ),
    ("error", "string", "code:field: reason of a bad row, null where the contract holds"),
    ("contract_version", "string", "Contract that it was read with"),
    ("raw", "", "The cells as they came; null where the file has no such column"),
    ("extra", "", "Cells behind the last column of the header; null for most rows"),
    ("record", "", "The row, typed by the contract; null for a bad one"),
    (
        "event_date",
        "date",
        "The table's folders: month of the event time, of a bad row the file's",
    ),
)


def bronze_columns(files: DayFiles) -> list[tuple[str, str, str]]:
    """All columns of a bronze table with their meaning, by Spark's types."""
    nested = {
        "raw": f"struct<{', '.join(f'`{f.name}`: string' for f in files.fields)}>",
        "extra": "array<string>",
        "record": f"struct<{', '.join(f'`{f.name}`: {spark_type(f)}' for f in files.fields)}>",
    }
    return [(n, nested.get(n) or SPARK_TYPES[kind], text) for n, kind, text in _COLUMNS]


def bronze_schema(files: DayFiles) -> pa.Schema:
    """The same columns for Arrow."""
    import pyarrow as pa

    kinds = arrow_types()
    nested = {
        "raw": pa.struct([(f.name, pa.string()) for f in files.fields]),
        "extra": pa.list_(pa.field("element", pa.string())),
        "record": pa.struct([(f.name, kinds[f.type]) for f in files.fields]),
    }
    return pa.schema([(n, nested[n] if n in nested else kinds[k]) for n, k, _ in _COLUMNS])


def bronze(settings: Settings, files: DayFiles) -> Table:
    """The bronze table of a domain's day files."""
    return Table(
        settings.names.table_id(files.domain, "bronze", files.entity),
        Lake(settings).uri(files.domain, "bronze", files.entity),
        ", ".join(f"`{name}` {kind}" for name, kind, _ in bronze_columns(files)),
        "event_date",
        STATS,
        files.grain,
    )


def batch(
    files: DayFiles, file: tuple[str, str, date], rows: Sequence[tuple[int, int, Row]]
) -> pa.RecordBatch:
    """Rows of one file for the bronze table.

    Args:
        files: the contract.
        file: name, checksum and day of the file.
        rows: (number, line, row).
    """
    import pyarrow as pa

    schema, (name, digest, day) = bronze_schema(files), file
    times = [r.record[files.event_time] if r.record else None for *_, r in rows]
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    starts = [partitions.floor(time, files.grain) if time else None for time in times]
    values: dict[str, Any] = {
        "file": [name] * len(rows),
        "file_sha256": [digest] * len(rows),
        "file_day": [day] * len(rows),
        "row": [number for number, _, _ in rows],
        "line": [line for _, line, _ in rows],
        "event_time": times,
        "event_hour": starts,
        "error": [r.error for *_, r in rows],
        "contract_version": [files.version] * len(rows),
        "extra": [r.extra for *_, r in rows],
        "event_date": [partitions.folder(start or midnight, files.grain) for start in starts],
    }
    arrays = {n: pa.array(v, schema.field(n).type) for n, v in values.items()}
    arrays["raw"] = _struct(schema.field("raw").type, [r.raw for *_, r in rows])
    arrays["record"] = _struct(schema.field("record").type, [r.record for *_, r in rows])
    return pa.RecordBatch.from_arrays([arrays[n] for n in schema.names], schema=schema)


def _struct(kind: pa.StructType, rows: Sequence[dict[str, Any] | None]) -> pa.StructArray:
    """Column by column: many times faster than from one mapping per row."""
    import pyarrow as pa

    none: dict[str, Any] = {}
    children = [
        pa.array([(none if row is None else row).get(f.name) for row in rows], f.type) for f in kind
    ]
    missing = pa.array([row is None for row in rows], pa.bool_())
    return pa.StructArray.from_arrays(children, fields=list(kind), mask=missing)
