"""DuckDB in memory: one statement over Arrow tables.

Belongs here: asking it. Does not belong here: the warehouse, a file of DuckDB's (`warehouse.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure

if TYPE_CHECKING:
    import pyarrow as pa

_BOUNDS = {"memory_limit": "1GB", "threads": 2}


def ask(
    tried: str, tables: Mapping[str, pa.Table], sql: str, values: Mapping[str, Any] | None = None
) -> pa.Table:
    """Result of a statement over tables by name; times are UTC.

    Args:
        tried: what is attempted, for failures.
        tables: what the statement may read.
        sql: with `$name` for values.
        values: by their names.

    Raises:
        PermanentFailure: the statement is wrong, or needs more memory than there is.
    """
    import duckdb

    with duckdb.connect(":memory:", config=_BOUNDS) as connection:
        connection.execute("set timezone = 'UTC'")
        for name, table in tables.items():
            connection.register(name, table)
        try:
            return connection.execute(sql, dict(values or {})).to_arrow_table()
        except duckdb.Error as error:
            raise PermanentFailure(tried, str(error), page="warehouse") from error
