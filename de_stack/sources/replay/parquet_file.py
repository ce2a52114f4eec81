"""Parquet: typed columns, nested ones by dotted names.

Belongs here: row groups -> cells in Python's types. Does not belong here: which column is which
field.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_stack.contracts.columns import kernels
from de_stack.failures import PermanentFailure
from de_stack.sources.replay.source import Row

if TYPE_CHECKING:
    import pyarrow as pa

_AT_ONCE = 10_000


class ParquetFile:
    """Rows of a Parquet file. Nanoseconds are cut to microseconds, which is what a stream has."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        self._path, self._done = path, 0
        try:
            with pq.ParquetFile(path) as file:
                self._total = max(file.metadata.num_rows, 1)
                schema = file.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise PermanentFailure(
                f"read {path}", str(error), "is it a Parquet file?", page="unreadable-file"
            ) from error
        self.columns = tuple(name for field in schema for name in _leaves(field))
        self._top = set(schema.names)
        self.note: str | None = None

    def rows(self, wanted: Sequence[str]) -> Iterator[Row]:
        """See `Source`."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        paths = [(n,) if n in self._top else tuple(n.split(".")) for n in wanted]
        self._done = 0
        try:
            with pq.ParquetFile(self._path) as file:
                top = list(dict.fromkeys(path[0] for path in paths))
                for batch in file.iter_batches(_AT_ONCE, columns=top):
                    cells = [_values(_at(batch, path)) for path in paths]
                    yield from zip(*cells, strict=True) if cells else [()] * batch.num_rows
                    self._done += batch.num_rows
        except (pa.ArrowException, OSError) as error:
            got = f"after row {self._done:,}: {error}"
            raise PermanentFailure(f"read {self._path}", got, page="unreadable-file") from error

    def fraction(self) -> float:
        """See `Source`."""
        return self._done / self._total


def _leaves(field: pa.Field, above: str = "") -> Iterator[str]:
    import pyarrow as pa

    if pa.types.is_struct(field.type) and field.type.num_fields:
        for below in field.type:
            yield from _leaves(below, f"{above}{field.name}.")
    else:
        yield f"{above}{field.name}"


def _at(batch: pa.RecordBatch, path: tuple[str, ...]) -> pa.Array:
    array = batch.column(path[0])
    for part in path[1:]:
        array = kernels().struct_field(array, part)
    return array


def _values(array: pa.Array) -> list[Any]:
    import pyarrow as pa

    kind = array.type
    if pa.types.is_timestamp(kind):
        array = array.cast(pa.timestamp("us", kind.tz), safe=False)
    try:
        return array.to_pylist()
    except (ValueError, OverflowError):
        # A year that Python does not have: as a text, which will be found wrong by itself.
        return array.cast(pa.string()).to_pylist()
