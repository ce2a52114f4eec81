"""A batch -> a Postgres table, in one transaction with the number of the batch.

Belongs here: what each output mode does to the table, and that a batch is taken once. Does not
belong here: making tables (`flow.serving`), which rows there are.

The number of the last batch stands in the same database: a batch that comes again, after a crash
between this commit and the checkpoint's, changes nothing. Two processes that run the same query
(one of them dying) take turns at that one row.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from de_stack.flow.serving import ServingTable, ensure, table_name
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    import pyarrow as pa
    from psycopg import Connection
    from pyspark.sql import DataFrame, SparkSession

    from de_stack.flow.continuous.query import Batch, Mode
    from de_stack.settings import Settings

_BATCHES = """
create table if not exists de_stack.stream_batches (
    query text primary key, query_id text not null, batch_id bigint not null,
    taken_at timestamptz not null default now())
"""
# One row or none: none where the batch, or one after it, was taken before.
_TAKE = """
insert into de_stack.stream_batches as b (query, query_id, batch_id) values (%s, %s, %s)
on conflict (query) do update
set query_id = excluded.query_id, batch_id = excluded.batch_id, taken_at = now()
where b.query_id <> excluded.query_id or b.batch_id < excluded.batch_id
returning 1
"""
_ROWS_PER_BATCH = 10_000


@dataclass(frozen=True)
class TableSink:
    """A table of one domain in Postgres; its first part is the schema's domain.

    Append and update put a row in the place of the one with the same key; complete replaces all.
    With `keep`, rows whose `time_column` is so far behind the newest are removed: a table of what
    is live does not grow.
    """

    domain: str
    name: str
    columns: tuple[tuple[str, str, str], ...]
    key: tuple[str, ...]
    time_column: str | None
    comment: str
    keep: timedelta | None = None
    modes: frozenset[Mode] = frozenset(("append", "update", "complete"))

    @property
    def takes(self) -> list[str]:
        """Its own columns."""
        return [name for name, _, _ in self.columns]

    def target(self, settings: Settings) -> str:
        """`postgres stocks.live_averages`."""
        table = self.table(settings)
        return f"postgres {table.schema}.{table.name}"

    def table(self, settings: Settings) -> ServingTable:
        """The table in this namespace."""
        schema = settings.names.schema(self.domain)
        return ServingTable(
            schema, self.name, self.columns, self.key, self.time_column, comment=self.comment
        )

    def prepare(self, settings: Settings, session: SparkSession) -> None:  # noqa: ARG002
        """Make the table and the record of batches."""
        table = self.table(settings)
        with Postgres(settings, "serving").transaction(f"make {self.target(settings)}") as db:
            ensure(db, table)
            db.execute(_BATCHES.encode())

    def shaped(self, rows: DataFrame) -> DataFrame:
        """The same: a table has the columns of the result."""
        return rows

    def write(self, settings: Settings, rows: DataFrame, batch: Batch) -> int | None:
        """Put the rows in place, unless this batch was taken before."""
        found = rows.toArrow()
        tried = f"write batch {batch.number} of {batch.query} to {self.target(settings)}"
        table = self.table(settings)
        with Postgres(settings, "serving").transaction(tried) as db:
            # A table that was dropped comes back with what follows: it is of what is live. One that
            # is there is not made: who makes tables waits for all others who do, publishing too.
            if not _is_there(db, table):
                ensure(db, table)
            taken = (batch.query, batch.query_id, batch.number)
            if db.execute(_TAKE.encode(), taken).fetchone() is None:
                return 0
            _put(db, table, found, is_all=batch.mode == "complete")
            if self.keep is not None and found.num_rows:
                _forget(db, table, self.keep)
        return found.num_rows


def _is_there(db: Connection, table: ServingTable) -> bool:
    name = f'"{table.schema}"."{table.name}"'
    return db.execute("select to_regclass(%s)", (name,)).fetchone() != (None,)


def _put(db: Connection, table: ServingTable, rows: pa.Table, *, is_all: bool) -> None:
    from psycopg import sql

    target, names = table_name(table), [name for name, _, _ in table.columns]
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    if is_all:
        db.execute(sql.SQL("delete from {}").format(target))
    elif not rows.num_rows:
        return
    db.execute(
        sql.SQL("create temp table stage on commit drop as select {} from {} limit 0").format(
            listed, target
        )
    )
    with db.cursor().copy(sql.SQL("copy stage ({}) from stdin").format(listed)) as stream:
        for piece in rows.to_batches(max_chunksize=_ROWS_PER_BATCH):
            for row in zip(*(column.to_pylist() for column in piece.columns), strict=True):
                stream.write_row(row)
    rest = [name for name in names if name not in table.key]
    changes = sql.SQL(", ").join(
        sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in rest
    )
    db.execute(
        sql.SQL(
            "insert into {} ({listed}) select {listed} from stage on conflict ({}) do update set {}"
        ).format(target, sql.SQL(", ").join(map(sql.Identifier, table.key)), changes, listed=listed)
    )


def _forget(db: Connection, table: ServingTable, keep: timedelta) -> None:
    from psycopg import sql

    assert table.time_column  # noqa: S101 - `keep` is measured by it
    db.execute(
        sql.SQL("delete from {t} where {c} < (select max({c}) from {t}) - %s::interval").format(
            t=table_name(table), c=sql.Identifier(table.time_column)
        ),
        (keep,),
    )
