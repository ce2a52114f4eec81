"""The warehouse: one DuckDB file, which one process may write or many may read.

Belongs here: reading it as Arrow, waiting for whoever holds it, putting DuckDB's extensions in
place without a download. Does not belong here: what is in it (dbt_project), writing it
(`dbt_process`).
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from de_stack.failures import PermanentFailure, TransientFailure

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from de_stack.settings import Settings

# dbt_project/profiles.yml has the same bounds for dbt.
_BOUNDS = {"memory_limit": "1GB", "threads": 2}
_PAUSE_S = 0.2


class _Query(Protocol):
    def __call__(self, sql: str, values: Sequence[Any] = ()) -> pa.Table: ...


def read_arrow(
    settings: Settings, sql: str, values: Sequence[Any] = (), deadline_s: float = 10.0
) -> pa.Table:
    """Result of a query; times are UTC. The file is closed again when this returns.

    Raises:
        TransientFailure: another process was writing for `deadline_s` seconds.
        PermanentFailure: there is no warehouse yet, or the statement is wrong.
    """
    with _opened(settings, deadline_s) as query:
        return query(sql, values)


def read_table(
    settings: Settings, schema: str, name: str, columns: Sequence[str]
) -> tuple[pa.Table, dict[str, int]]:
    """These columns of a table, sorted, and the version of each source that it was built from.

    Raises as `read_arrow`. No writer can come between the two reads: a file that is open for
    reading has none.
    """
    listed = ", ".join(map(_quoted, columns))
    table = f"{_quoted(schema)}.{_quoted(name)}"
    with _opened(settings, 10.0) as query:
        rows = query(f"select {listed} from {table} order by all")  # noqa: S608 - quoted
        comment = query(
            "select comment from duckdb_tables() where schema_name = ? and table_name = ?",
            (schema, name),
        )
    return rows, json.loads(comment.column(0)[0].as_py() or "{}")


def count(settings: Settings, schema: str, name: str) -> int:
    """Number of rows of a table; raises as `read_arrow`."""
    table = f"{_quoted(schema)}.{_quoted(name)}"
    result = read_arrow(settings, f"select count(*) from {table}")  # noqa: S608 - quoted
    return result.column(0)[0].as_py()


def wait_until_free(settings: Settings, deadline_s: float = 10.0) -> Path:
    """Path of the warehouse, once no other process holds it. Makes its folder.

    Raises:
        TransientFailure: it was held for `deadline_s` seconds.
    """
    path = Path(settings.need("warehouse_path"))
    path.parent.mkdir(parents=True, exist_ok=True)
    _connect(path, deadline_s, read_only=False).close()
    return path


def extension_directory(settings: Settings, name: str = "delta") -> Path:
    """Folder in which DuckDB finds the extension; filled from the wheel of its own version."""
    import duckdb

    folder = settings.home / "duckdb_extensions"
    if not list(folder.glob(f"v{duckdb.__version__}/*/{name}.duckdb_extension")):
        import duckdb_extensions

        folder.mkdir(parents=True, exist_ok=True)
        config: dict[str, Any] = {"extension_directory": str(folder)}
        with duckdb.connect(config=config) as connection:
            duckdb_extensions.import_extension(name, con=connection)
    return folder


@contextmanager
def _opened(settings: Settings, deadline_s: float) -> Iterator[_Query]:
    import duckdb

    path = Path(settings.need("warehouse_path"))
    if not path.exists():
        raise PermanentFailure(
            f"read {path}", "no such file", "materialize a mart first", page="no-table-yet"
        )
    with _connect(path, deadline_s, read_only=True) as connection:
        connection.execute("set TimeZone = 'UTC'")

        def query(sql: str, values: Sequence[Any] = ()) -> pa.Table:
            try:
                return connection.execute(sql, list(values)).to_arrow_table()
            except duckdb.Error as error:
                fix = "materialize the mart first"
                raise PermanentFailure(
                    f"query {path}", str(error), fix, page="no-table-yet"
                ) from error

        yield query


def _connect(path: Path, deadline_s: float, *, read_only: bool) -> duckdb.DuckDBPyConnection:
    import duckdb

    config: dict[str, Any] = dict(_BOUNDS)
    end = time.monotonic() + deadline_s
    while True:
        try:
            return duckdb.connect(str(path), read_only=read_only, config=config)
        except duckdb.IOException as error:
            if not is_held(str(error)):
                raise PermanentFailure(f"open {path}", str(error), page="warehouse") from error
            if time.monotonic() >= end:
                raise held(path, str(error)) from error
        time.sleep(_PAUSE_S)


def is_held(message: str) -> bool:
    """True for DuckDB's words for "another process has the file"."""
    return "Could not set lock on file" in message


def held(path: Path, message: str) -> TransientFailure:
    """The failure to raise then; DuckDB's message names the process."""
    got = message.split(". However")[0].removeprefix("IO Error: ")
    return TransientFailure(
        f"open {path}", got, "close the program that has the warehouse open", page="warehouse"
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
