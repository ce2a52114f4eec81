"""A table in Postgres as the flow sees it, and the making of it.

Belongs here: columns, keys, comments, the record of what Postgres holds. Does not belong here: rows
(`publish.py`), what the columns mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from de_stack.naming import column

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.sql import Composed

_APPLIED = """
create schema if not exists de_stack;
create table if not exists de_stack.applied (
    consumer text, event_hour timestamptz, source_version bigint not null,
    run_id text not null, applied_at timestamptz not null default now(),
    primary key (consumer, event_hour))
"""


@dataclass(frozen=True)
class ServingTable:
    """A Postgres table: columns as (name, SQL type, comment), and the columns of the primary key.

    A row belongs to the event hour in which its `time_column` lies; without one the table is only
    ever replaced as a whole.
    """

    schema: str
    name: str
    columns: tuple[tuple[str, str, str], ...]
    key: tuple[str, ...]
    time_column: str | None = None
    grain: str = "hour"
    comment: str = ""


def ensure(connection: Connection, table: ServingTable) -> bool:
    """Make the table, and the record of what is in it, unless there; True if it was made now."""
    from psycopg import sql

    connection.execute("select pg_advisory_xact_lock(hashtext('de_stack.publish.ddl'))")
    connection.execute(_APPLIED.encode())
    if connection.execute(
        "select to_regclass(%s)", (f'"{table.schema}"."{table.name}"',)
    ).fetchone() != (None,):
        return False
    columns = [
        sql.SQL("{} {}").format(sql.Identifier(column(name)), sql.SQL(kind))  # type: ignore[arg-type]
        for name, kind, _ in table.columns
    ]
    key = sql.SQL(", ").join(map(sql.Identifier, table.key))
    connection.execute(
        sql.SQL("create schema if not exists {}").format(sql.Identifier(table.schema))
    )
    connection.execute(
        sql.SQL("create table {} ({}, primary key ({}))").format(
            table_name(table), sql.SQL(", ").join(columns), key
        )
    )
    if table.time_column:
        connection.execute(
            sql.SQL("create index on {} ({})").format(
                table_name(table), sql.Identifier(table.time_column)
            )
        )
    connection.execute(
        sql.SQL("comment on table {} is {}").format(table_name(table), sql.Literal(table.comment))
    )
    for name, _, comment in table.columns:
        connection.execute(
            sql.SQL("comment on column {}.{} is {}").format(
                table_name(table), sql.Identifier(name), sql.Literal(comment)
            )
        )
    return True


def table_name(table: ServingTable) -> Composed:
    """`"schema"."table"`, quoted."""
    from psycopg import sql

    return sql.SQL("{}.{}").format(sql.Identifier(table.schema), sql.Identifier(table.name))
