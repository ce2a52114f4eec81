"""The Postgres table of a stream's dead letters.

Belongs here: its columns, entering rows of bronze and what became of them, reading letters back.
Does not belong here: finding them in bronze (`dead_letters.py`), sending them again (`replay.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from de_stack.contracts.envelope import REJECTED
from de_stack.flow import commits
from de_stack.flow.letters import (
    Headers,
    Letter,
    Position,
    as_bytes,
    readable,
    repeats,
    source_of,
    split_error,
)
from de_stack.flow.serving import ServingTable, ensure, table_name
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from psycopg import Connection

    from de_stack.contracts import Stream
    from de_stack.settings import Settings

_SOURCE = ("source", "text", "Who refused it: http (the collector) or kafka (at the landing)")
# What comes from the letter itself; `value` and `key` are the bytes as they came.
LETTER = (
    ("topic_id", "text", "Id of the topic that the message lies in"),
    ("partition", "integer", "Kafka partition"),
    ("offset", "bigint", "Kafka offset"),
    ("broker_time", "timestamptz", "When the broker took the message"),
    ("event_id", "text", "Identity of the event; where it lies if the producer gave none"),
    ("code", "text", "What is wrong, in one word"),
    ("field", "text", "Field that is wrong; null where it is the message"),
    ("reason", "text", "What is wrong, in words"),
    ("key", "bytea", "Kafka key"),
    ("headers", "jsonb", "Kafka headers in order: key and text, or hex for what is no text"),
    ("value", "bytea", "The message as it came"),
    ("contract_version", "text", "Contract that refused it"),
    ("replay_of", "text", "Letter that this one repeats: topic_id:partition:offset"),
    _SOURCE,
)
COLUMNS = (
    *LETTER,
    ("replayed_as", "text", "Where its replay landed, well or not; null for an open letter"),
    ("resolved_by", "text", "Where a message that repeats it landed well"),
    ("resolved_at", "timestamptz", "When the broker took that message"),
)
_KEY = ("topic_id", "partition", "offset")


def dead_table(settings: Settings, stream: Stream) -> ServingTable:
    """The Postgres table of a stream's dead letters."""
    return ServingTable(
        settings.names.schema(stream.domain),
        f"dead_{stream.entity}",
        COLUMNS,
        _KEY,
        comment=f"Messages against contract {stream.name}, and which of them are settled",
    )


def make(connection: Connection, table: ServingTable) -> bool:
    """Make the table unless it is there, with all its columns; True if it was made now."""
    from psycopg import sql
    from psycopg.types.json import Jsonb

    if ensure(connection, table):
        return True
    # Under the lock of `ensure`. Tables of before letters had a source: their headers say it.
    there = connection.execute(
        "select 1 from information_schema.columns "
        "where (table_schema, table_name, column_name) = (%s, %s, %s)",
        (table.schema, table.name, _SOURCE[0]),
    ).fetchone()
    if there is None:
        name = table_name(table)
        connection.execute(sql.SQL("alter table {} add column source text").format(name))
        comment = sql.SQL("comment on column {}.source is {}")
        connection.execute(comment.format(name, sql.Literal(_SOURCE[2])))
        update = sql.SQL(
            "update {} set source = case when headers @> %s then 'http' else 'kafka' end"
        )
        connection.execute(update.format(name), (Jsonb([{"key": REJECTED}]),))
    return False


def position_of(row: dict[str, Any]) -> Position:
    """Where a row of bronze lies."""
    return Position(row["topic_id"], row["partition"], row["offset"])


def headers_of(row: dict[str, Any]) -> Headers:
    """The headers of a row of bronze."""
    return [(h["key"], h["value"]) for h in row["headers"] or []]


def letters(
    settings: Settings,
    stream: Stream,
    only_open: bool = False,
    code: str | None = None,
    limit: int | None = None,
) -> list[Letter]:
    """Letters, newest first.

    Raises:
        TransientFailure: Postgres was away.
        PermanentFailure: there is no such table.
    """
    from psycopg import sql

    names = [name for name, _, _ in COLUMNS]
    statement = sql.SQL(
        "select {} from {} where (not %s or replayed_as is null) "
        "and (%s::text is null or code = %s) "
        'order by broker_time desc, topic_id, partition, "offset" desc limit %s'
    ).format(
        sql.SQL(", ").join(map(sql.Identifier, names)), table_name(dead_table(settings, stream))
    )
    with Postgres(settings, "serving").transaction("read dead letters") as connection:
        rows = connection.execute(statement, (only_open, code, code, limit)).fetchall()
    found = []
    for row in rows:
        given = dict(zip(names[3:], row[3:], strict=True))
        given["headers"] = as_bytes(given["headers"])
        found.append(Letter(Position(*row[:3]), **given))
    return found


def clear(connection: Connection, table: ServingTable) -> None:
    """Remove all letters."""
    from psycopg import sql

    connection.execute(sql.SQL("delete from {}").format(table_name(table)))


def insert(connection: Connection, table: ServingTable, rows: list[dict[str, Any]]) -> None:
    """Enter bad rows of bronze; what is there already is left alone."""
    from psycopg import sql
    from psycopg.types.json import Jsonb

    def values(row: dict[str, Any]) -> tuple[Any, ...]:
        code, field, reason = split_error(row["error"])
        again = repeats(headers_of(row))
        texts = (_text(row["event_id"]), code, _text(field), _text(reason))
        return (
            *(row["topic_id"], row["partition"], row["offset"], commits.utc(row["broker_time"])),
            *texts,
            *(row["key"], Jsonb(readable(headers_of(row))), row["value"]),
            *(row["contract_version"], str(again[-1]) if again else None),
            source_of(headers_of(row)),
        )

    statement = sql.SQL("insert into {} ({}) values ({}) on conflict do nothing").format(
        table_name(table),
        sql.SQL(", ").join(sql.Identifier(name) for name, _, _ in LETTER),
        sql.SQL(", ").join([sql.Placeholder()] * len(LETTER)),
    )
    connection.cursor().executemany(statement, map(values, rows))


def settle(connection: Connection, table: ServingTable, rows: list[dict[str, Any]]) -> None:
    """Enter what has landed of replays: of the last named letter where, of all whether well."""
    from psycopg import sql

    where = sql.SQL('where (topic_id, partition, "offset") = (%s, %s, %s)')
    name = table_name(table)
    landed = sql.SQL("update {} set replayed_as = %s {}").format(name, where)
    well = sql.SQL("update {} set resolved_by = %s, resolved_at = %s {}").format(name, where)
    cursor = connection.cursor()
    for row in rows:
        place, named = str(position_of(row)), repeats(headers_of(row))
        if not named:
            continue
        cursor.execute(landed, (place, *_parts(named[-1])))
        if row["error"] is None:
            at = commits.utc(row["broker_time"])
            cursor.executemany(well, [(place, at, *_parts(p)) for p in named])


def landed_of(
    connection: Connection, table: ServingTable, waiting: list[Position]
) -> list[Position]:
    """Those among letters whose replay has landed, well or not."""
    from psycopg import sql

    statement = sql.SQL(
        'select topic_id, partition, "offset" from {} where replayed_as is not null '
        "and concat_ws(':', topic_id, partition, \"offset\") = any(%s)"
    ).format(table_name(table))
    rows = connection.execute(statement, ([str(p) for p in waiting],)).fetchall()
    return [Position(*row) for row in rows]


def count(connection: Connection, table: ServingTable) -> tuple[int, int]:
    """(letters that nothing has repeated, all letters)."""
    from psycopg import sql

    statement = sql.SQL("select count(*) filter (where replayed_as is null), count(*) from {}")
    row = connection.execute(statement.format(table_name(table))).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def _parts(position: Position) -> tuple[str, int, int]:
    return position.topic_id, position.partition, position.offset


def _text(text: str | None) -> str | None:
    """Postgres' text has no room for NUL."""
    return None if text is None else text.replace("\0", "\\0")
