"""Lake -> Postgres: hours or whole tables, in one transaction, never half and never backwards.

Belongs here: staging, replacing, claiming a source version. Does not belong here: making tables
(`serving.py`), what the columns mean.

Postgres itself remembers what it holds (`de_stack.applied`, in the same database and the same
transaction as the rows); the ledger gets a copy for its views. A crash between the two makes the
hours pending once more, and their second publication is a no-op.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure
from de_stack.flow.commits import reconcile
from de_stack.flow.ledger import Ledger
from de_stack.flow.serving import ServingTable, ensure, table_name
from de_stack.flow.tables import Table
from de_stack.logs import line
from de_stack.partitions import expand
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    import pyarrow as pa
    from psycopg import Connection

    from de_stack.settings import Settings

log = logging.getLogger(__name__)
# The one "hour" of a table that is replaced as a whole.
WHOLE = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Published:
    """Rows written, hours replaced, hours left alone because Postgres holds as new a version.

    `total` is the target's row count afterwards.
    """

    rows: int
    hours: int
    skipped: int
    source_version: int = -1
    total: int = 0


def publish(
    settings: Settings,
    table: ServingTable,
    rows: pa.Table,
    consumer: str,
    source_version: int,
    run_id: str,
    hours: list[datetime] | None = None,
    source: str | None = None,
) -> Published:
    """Replace hours (or, without `hours`, the whole table) by `rows`, unless Postgres is newer.

    Args:
        settings: where Postgres is.
        table: target; made if it is not there.
        rows: the columns of `table` by name, all rows of `hours` and no others.
        consumer: name in the ledger of who uses the source.
        source_version: version of the source that `rows` was read from.
        run_id: goes into the record.
        hours: event hours to replace; those without rows are emptied.
        source: name in the ledger of the table that the hours were read from.

    Raises:
        TransientFailure: Postgres was away; nothing was changed.
        PermanentFailure: it refused the rows.
    """
    scope = hours if hours is not None else [WHOLE]
    tried = f"publish {len(scope)} hours to {table.schema}.{table.name}"
    with Postgres(settings, "serving").transaction(tried, timeout_s=600) as connection:
        if ensure(connection, table):
            # A table that was dropped by hand comes back with its rows.
            connection.execute("delete from de_stack.applied where consumer = %s", (consumer,))
        won = claim(connection, consumer, scope, source_version, run_id)
        if hours is not None:
            rows = _of_hours(rows, table, won)
        if won:
            _replace(connection, table, rows, None if hours is None else won)
        total = _total(connection, table)
    Ledger(settings).apply(consumer, scope, source_version, run_id, source)
    written = rows.num_rows if won else 0
    log.info(
        line(
            "published",
            run_id=run_id,
            table=f"{table.schema}.{table.name}",
            first=scope[0].isoformat() if hours else None,
            last=scope[-1].isoformat() if hours else None,
            source_version=source_version,
            rows=written,
            hours_replaced=len(won) if hours else None,
        )
    )
    return Published(written, len(won), len(scope) - len(won), source_version, total)


def publish_hours(
    settings: Settings,
    source: Table,
    table: ServingTable,
    consumer: str,
    first: datetime,
    last: datetime,
    run_id: str,
) -> Published:
    """Publish the event hours first..last of a Delta table as its newest version has them.

    Raises:
        PermanentFailure: no such table yet, or its log disagrees with the ledger.
        TransientFailure: Postgres was away; nothing was changed.
    """
    lake = Lake(settings)
    version = reconcile(lake, Ledger(settings), source)
    if version < 0:
        raise PermanentFailure(
            f"publish {table.name}", f"{source.table_id} has no table yet", page="no-table-yet"
        )
    names = ", ".join(f'"{name}"' for name, _, _ in table.columns)
    where = f"event_hour >= {_sql_time(first)} and event_hour <= {_sql_time(last)}"
    rows = lake.query(source.uri, f"select {names} from t where {where}", version)
    hours = expand(first, last, source.grain)
    return publish(settings, table, rows, consumer, version, run_id, hours, source.table_id)


def _sql_time(moment: datetime) -> str:
    return f"to_timestamp('{moment:%Y-%m-%dT%H:%M:%SZ}')"


def _total(connection: Connection, table: ServingTable) -> int:
    from psycopg import sql

    row = connection.execute(
        sql.SQL("select count(*) from {}").format(table_name(table))
    ).fetchone()
    return row[0] if row else 0


def _of_hours(rows: pa.Table, table: ServingTable, hours: list[datetime]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.compute as pc

    assert table.time_column  # noqa: S101 - a table without one has no hours
    times = rows[table.time_column]
    hour = pc.floor_temporal(times, unit=table.grain)  # type: ignore[attr-defined]
    wanted = pa.array(hours, times.type)
    return rows.filter(pc.is_in(hour, value_set=wanted))  # type: ignore[attr-defined]


def claim(
    connection: Connection,
    consumer: str,
    hours: list[datetime],
    source_version: int,
    run_id: str,
) -> list[datetime]:
    """Hours whose version moves forward. Their records stay locked until the transaction ends.

    A whole table may be replaced from the same version again: its model can change while the source
    does not.
    """
    won = connection.execute(
        "insert into de_stack.applied as a (consumer, event_hour, source_version, run_id) "
        "select %s, h, %s, %s from unnest(%s::timestamptz[]) h order by h "
        "on conflict (consumer, event_hour) do update "
        "set source_version = excluded.source_version, run_id = excluded.run_id, "
        "applied_at = now() where a.source_version < excluded.source_version "
        "or (a.source_version = excluded.source_version and a.event_hour = %s) "
        "returning event_hour",
        (consumer, source_version, run_id, hours, WHOLE),
    ).fetchall()
    return sorted(row[0] for row in won)


def _values(column: pa.Array) -> list[Any]:
    """Values for COPY: a map goes into a jsonb as an object."""
    import pyarrow as pa

    if not pa.types.is_map(column.type):
        return column.to_pylist()
    return [None if pairs is None else json.dumps(dict(pairs)) for pairs in column.to_pylist()]


def _replace(
    connection: Connection,
    table: ServingTable,
    rows: pa.Table,
    hours: list[datetime] | None,
) -> None:
    from psycopg import sql

    target, names = table_name(table), [name for name, _, _ in table.columns]
    listed = sql.SQL(", ").join(map(sql.Identifier, names))
    connection.execute(
        sql.SQL("create temp table stage on commit drop as select {} from {} limit 0").format(
            listed, target
        )
    )
    copy = sql.SQL("copy stage ({}) from stdin").format(listed)
    with connection.cursor().copy(copy) as stream:
        for batch in rows.select(names).to_batches(max_chunksize=10_000):
            for row in zip(*map(_values, batch.columns), strict=True):
                stream.write_row(row)
    if hours is None:
        connection.execute(sql.SQL("delete from {}").format(target))
    else:
        assert table.time_column  # noqa: S101 - a table without one has no hours
        # The plain bounds let the index work; the list then picks the hours between them.
        connection.execute(
            sql.SQL(
                "delete from {} where {time} >= %s "
                "and {time} < %s::timestamptz + interval '1 {grain}' "
                "and date_trunc('{grain}', {time}, 'UTC') = any(%s)"
            ).format(
                target,
                time=sql.Identifier(table.time_column),
                grain=sql.SQL(table.grain),  # type: ignore[arg-type]
            ),
            (hours[0], hours[-1], hours),
        )
    connection.execute(
        sql.SQL("insert into {} ({listed}) select {listed} from stage").format(
            target, listed=listed
        )
    )
