"""The lake's Delta tables, read through their log with delta-rs (no JVM).

Belongs here: where a table is, small SQL reads at a pinned version. Does not belong here: commits
(`lake_log.py`), files and their clean-up (`lake_files.py`), writing rows (Spark does, in `flow`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.resources.lake_files import LakeFiles

if TYPE_CHECKING:
    import pyarrow as pa


class Lake(LakeFiles):
    """Reads tables by URI with the storage keys of the settings."""

    def uri(self, domain: str, layer: str, entity: str) -> str:
        """Where a table is."""
        names = self._settings.names
        return names.lake_uri(self._settings.need("lake_uri"), domain, layer, entity)

    def query(self, uri: str, sql: str, version: int | None = None) -> pa.Table:
        """Result of a read-only SQL statement in which the table is called `t`.

        Raises:
            PermanentFailure: no table there, its log or a file cannot be read, a wrong statement.
            TransientFailure: the store did not answer.
        """
        import pyarrow as pa

        with reading(uri):
            found = pa.table(self._answer(uri, sql, version).read_all())
        return found.cast(pa.schema([f.with_type(_plain(f.type)) for f in found.schema]))

    def stream(self, uri: str, sql: str, version: int) -> Iterator[dict[str, Any]]:
        """Rows of an answer that may be larger than memory; raises as `query`.

        Only what has no need of all rows at once goes by: no order, no groups.
        """
        import pyarrow as pa

        with reading(uri):
            for batch in self._answer(uri, sql, version):
                yield from pa.record_batch(batch).to_pylist()

    def _answer(self, uri: str, sql: str, version: int | None) -> Any:
        from deltalake import QueryBuilder

        table = self.open(uri, version)
        if table is None:
            raise PermanentFailure(f"read {uri}", "no Delta table is there", page="no-table-yet")
        return QueryBuilder().register("t", table).execute(sql)


def _plain(kind: pa.DataType) -> pa.DataType:
    """The engine answers in view types, which pyarrow cannot filter or take from."""
    import pyarrow as pa

    if isinstance(kind, pa.ListType):
        return pa.list_(kind.value_field.with_type(_plain(kind.value_type)))
    return {pa.string_view(): pa.string(), pa.binary_view(): pa.binary()}.get(kind, kind)


@contextmanager
def reading(uri: str) -> Iterator[None]:
    """Errors of a query as failures."""
    from deltalake.exceptions import DeltaError

    try:
        yield
    except DeltaError as error:
        raise PermanentFailure(f"query {uri}", str(error), page="lake-unreadable") from error
    except Exception as error:  # the reader raises nothing narrower
        if type(error) is not Exception:
            raise
        kind = PermanentFailure if "not found" in str(error) else TransientFailure
        raise kind(f"query {uri}", str(error), page="lake-unreadable") from error
