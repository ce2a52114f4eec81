"""The ledger: which commits there are, which event hours they touched, what each consumer has used.

Belongs here: SQL on the `ledger` database. Does not belong here: reading tables' logs
(`commits.py`), deciding what runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from psycopg import Connection

    from de_stack.resources.lake import Commit
    from de_stack.settings import Settings


@dataclass(frozen=True)
class Touched:
    """One event hour that a commit touched. Late rows and ingest hours: for landings only."""

    event_hour: datetime
    rows: int | None = None
    late_rows: int | None = None
    ingest_first: datetime | None = None
    ingest_last: datetime | None = None


@dataclass(frozen=True)
class Landed:
    """Where landing stands: number of the last slice, topic id, end offset of each partition."""

    slice: int
    topic_id: str
    offsets: dict[int, int]


class Ledger:
    """Questions and entries. Each call is one transaction."""

    def __init__(self, settings: Settings) -> None:
        self._postgres = Postgres(settings, "ledger")

    def last_commit(self, table_id: str) -> tuple[int, str | None]:
        """(newest version, its token); (-1, None) for a table that the ledger does not know."""
        row = self._one(
            "select version, token from ledger.commits where table_id = %s "
            "order by version desc limit 1",
            (table_id,),
        )
        return (row[0], row[1]) if row else (-1, None)

    def landed(self, table_id: str) -> Landed | None:
        """Where landing into a table stands; None before its first slice."""
        row = self._one(
            "select slice, details from ledger.commits where table_id = %s and slice is not null "
            "order by slice desc limit 1",
            (table_id,),
        )
        if row is None:
            return None
        offsets = {int(p): int(o) for p, o in row[1]["landed"].items()}
        return Landed(row[0], row[1]["topic_id"], offsets)

    def token_version(self, table_id: str, token: str) -> int | None:
        """Version of the commit that carries a writer's token."""
        row = self._one(
            "select version from ledger.commits where table_id = %s and token = %s",
            (table_id, token),
        )
        return row[0] if row else None

    def adopt(
        self,
        table_id: str,
        commit: Commit,
        kind: str,
        rows: int | None,
        touched: list[Touched],
    ) -> None:
        """Enter one commit of a table's log with what it touched; a known one is left alone."""
        details: dict[str, Any] = commit.metadata or {}
        with self._postgres.transaction(
            f"enter commit {commit.version} of {table_id}"
        ) as connection:
            made = connection.execute(
                "insert into ledger.commits values (%s, %s, %s, %s, %s, %s, %s, %s) "
                "on conflict do nothing",
                (
                    table_id,
                    commit.version,
                    kind,
                    details.get("token"),
                    details.get("slice"),
                    rows,
                    json.dumps(details),
                    commit.committed_at,
                ),
            ).rowcount
            if not made:
                return
            connection.cursor().executemany(
                "insert into ledger.touched values (%s, %s, %s, %s, %s, %s, %s)",
                [
                    (table_id, commit.version, t.event_hour, t.rows, t.late_rows)
                    + (t.ingest_first, t.ingest_last)
                    for t in touched
                ],
            )
            if kind == "derive":
                hours = [t.event_hour for t in touched]
                _apply(
                    connection,
                    table_id,
                    hours,
                    details["source_version"],
                    details["run_id"],
                )

    def apply(self, consumer: str, hours: list[datetime], source_version: int, run_id: str) -> None:
        """Enter that a consumer has used a source version of these hours, without a commit.

        An older version than the one entered changes nothing: that consumer has lost a race.
        """
        with self._postgres.transaction(f"enter what {consumer} has used") as connection:
            _apply(connection, consumer, hours, source_version, run_id, only_forward=True)

    def forget(self, table_id: str, version: int) -> int:
        """Take a commit and what it applied out again; how many event hours it had touched.

        What the table has used of its source is then what its commits before say.
        """
        with self._postgres.transaction(f"forget commit {version} of {table_id}") as connection:
            hours = connection.execute(
                "delete from ledger.touched where table_id = %s and version >= %s "
                "returning event_hour",
                (table_id, version),
            ).fetchall()
            connection.execute(
                "delete from ledger.commits where table_id = %s and version >= %s",
                (table_id, version),
            )
            lost = [row[0] for row in hours]
            connection.execute(
                "delete from ledger.applied where consumer = %s and event_hour = any(%s)",
                (table_id, lost),
            )
            connection.execute(
                "insert into ledger.applied (consumer, event_hour, source_version, run_id) "
                "select distinct on (t.event_hour) t.table_id, t.event_hour, "
                "(c.details->>'source_version')::bigint, c.details->>'run_id' "
                "from ledger.touched t join ledger.commits c using (table_id, version) "
                "where t.table_id = %s and c.kind = 'derive' and t.event_hour = any(%s) "
                "order by t.event_hour, t.version desc",
                (table_id, lost),
            )
        return len(set(lost))

    def pending(self, consumer: str, source: str) -> list[datetime]:
        """Event hours of `source` touched after what `consumer` has used of them, oldest first."""
        return [
            row[0]
            for row in self._all(
                "select t.event_hour from ledger.touched t "
                "left join ledger.applied a on a.consumer = %s and a.event_hour = t.event_hour "
                "where t.table_id = %s group by t.event_hour, a.source_version "
                "having max(t.version) > coalesce(a.source_version, -1) order by 1",
                (consumer, source),
            )
        ]

    def behind(
        self, target: str, target_version: int, source: str, source_version: int
    ) -> list[datetime]:
        """Event hours of a source at a version that a table derived from it lacks at a version."""
        return [
            row[0]
            for row in self._all(
                "with used as (select distinct on (t.event_hour) t.event_hour, "
                "(c.details->>'source_version')::bigint as version from ledger.touched t "
                "join ledger.commits c using (table_id, version) "
                "where t.table_id = %s and t.version <= %s order by t.event_hour, t.version desc) "
                "select t.event_hour from ledger.touched t left join used u using (event_hour) "
                "where t.table_id = %s and t.version <= %s group by t.event_hour, u.version "
                "having max(t.version) > coalesce(u.version, -1) order by 1",
                (target, target_version, source, source_version),
            )
        ]

    def newest(self, table_id: str) -> int | None:
        """Newest version of a table that changed rows; None before the first."""
        row = self._one("select max(version) from ledger.touched where table_id = %s", (table_id,))
        return row[0] if row else None

    def applied(self, consumer: str, hour: datetime) -> int | None:
        """Source version that a consumer has used of one event hour."""
        row = self._one(
            "select source_version from ledger.applied where consumer = %s and event_hour = %s",
            (consumer, hour),
        )
        return row[0] if row else None

    def applied_hours(self, consumer: str) -> list[datetime]:
        """Event hours that a consumer has used in some version, oldest first."""
        sql = "select event_hour from ledger.applied where consumer = %s order by 1"
        return [row[0] for row in self._all(sql, (consumer,))]

    def first_ingest(self, table_id: str) -> datetime | None:
        """First ingest hour that holds a good row; None before the first."""
        sql = "select min(ingest_first) from ledger.touched where table_id = %s"
        row = self._one(sql, (table_id,))
        return row[0] if row else None

    def ingest_hours(
        self, table_id: str, first: datetime, last: datetime, version: int
    ) -> tuple[datetime, datetime] | None:
        """First and last ingest hour that hold rows of the event hours first..last at a version."""
        row = self._one(
            "select min(ingest_first), max(ingest_last) from ledger.touched "
            "where table_id = %s and event_hour between %s and %s and version <= %s",
            (table_id, first, last, version),
        )
        return (row[0], row[1]) if row and row[0] else None

    def _one(self, sql: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        rows = self._all(sql, values)
        return rows[0] if rows else None

    def _all(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._postgres.transaction("read the ledger", timeout_s=20) as connection:
            return connection.execute(sql.encode(), values).fetchall()


def _apply(
    connection: Connection,
    consumer: str,
    hours: list[datetime],
    source_version: int,
    run_id: str,
    only_forward: bool = False,
) -> None:
    guard = "where a.source_version <= excluded.source_version" if only_forward else ""
    connection.cursor().executemany(
        (
            "insert into ledger.applied as a (consumer, event_hour, source_version, run_id) "
            "values (%s, %s, %s, %s) on conflict (consumer, event_hour) do update "
            "set source_version = excluded.source_version, run_id = excluded.run_id, "
            f"applied_at = now() {guard}"
        ).encode(),
        [(consumer, hour, source_version, run_id) for hour in hours],
    )
