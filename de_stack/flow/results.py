"""A published table -> results computed from the whole of it -> Postgres.

Belongs here: reading what Postgres holds with the version that it is of, results as tables. Does
not belong here: what is computed (a domain's core), the transaction (`publish`).

Rows and version are read in one snapshot, so results carry the version that they are of. The
warehouse stays free: it has room for one reader or writer, and a forecast takes its time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_stack import naming
from de_stack.failures import PermanentFailure
from de_stack.flow.publish import WHOLE, Published, publish
from de_stack.flow.serving import ServingTable
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from collections.abc import Sequence

    from de_stack.settings import Settings

Row = dict[str, Any]


@dataclass(frozen=True)
class Result:
    """A table of Postgres that is computed anew as a whole; columns are (name, SQL type, text)."""

    domain: str
    layer: str
    entity: str
    columns: tuple[tuple[str, str, str], ...]
    key: tuple[str, ...]
    description: str

    @property
    def name(self) -> str:
        """`layer_entity`: of the asset and of the table."""
        return naming.asset_name(self.layer, self.entity)

    def consumer(self, settings: Settings) -> str:
        """Name in the ledger."""
        return settings.names.table_id(self.domain, self.layer, self.entity)

    def publish(
        self, settings: Settings, rows: Sequence[Row], version: int, run_id: str
    ) -> Published:
        """Replace the table, unless Postgres has one of a newer version.

        Args:
            settings: where Postgres is.
            rows: each with all columns.
            version: of what they were computed from.
            run_id: goes into the record.

        Raises:
            TransientFailure: Postgres was away; nothing was changed.
            PermanentFailure: it refused the rows.
        """
        import pyarrow as pa

        kinds = {
            "text": pa.string(),
            "double precision": pa.float64(),
            "bigint": pa.int64(),
            "date": pa.date32(),
            "boolean": pa.bool_(),
        }
        schema = pa.schema([(name, kinds[kind]) for name, kind, _ in self.columns])
        table = ServingTable(
            settings.names.schema(self.domain),
            self.name,
            self.columns,
            self.key,
            comment=self.description,
        )
        found = pa.Table.from_pylist(list(rows), schema)
        return publish(settings, table, found, self.consumer(settings), version, run_id)


def read_published(
    settings: Settings, domain: str, table: str, columns: Sequence[str]
) -> tuple[list[Row], int]:
    """Rows of a table that is published as a whole, and the version that they are of.

    Raises:
        TransientFailure: Postgres was away.
        PermanentFailure: the table was not published yet.
    """
    from psycopg import sql
    from psycopg.rows import dict_row

    schema, consumer = settings.names.schema(domain), _published(settings, domain, table)
    tried = f"read {schema}.{table} of Postgres"
    with Postgres(settings, "serving").transaction(tried) as connection:
        connection.execute("set transaction isolation level repeatable read, read only")
        there = "select to_regclass(%s) is not null and to_regclass('de_stack.applied') is not null"
        version = None
        if connection.execute(there, (f'"{schema}"."{table}"',)).fetchone() == (True,):
            version = connection.execute(
                "select source_version from de_stack.applied "
                "where consumer = %s and event_hour = %s",
                (consumer, WHOLE),
            ).fetchone()
        if version is None:
            raise PermanentFailure(
                tried,
                "it was not published yet",
                f"materialize {domain}/published_{table} first",
                page="no-table-yet",
            )
        listed = sql.SQL(", ").join(map(sql.Identifier, columns))
        statement = sql.SQL("select {} from {}").format(listed, sql.Identifier(schema, table))
        rows = connection.cursor(row_factory=dict_row).execute(statement).fetchall()
    return rows, version[0]


def _published(settings: Settings, domain: str, table: str) -> str:
    return settings.names.table_id(domain, "published", table)
