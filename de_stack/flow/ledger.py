"""The ledger: which commits there are, which event hours they touched, what each consumer has used.

Belongs here: commits, and every entry into the `ledger` database. Does not belong here: questions
about event hours (`event_hours.py`), reading tables' logs (`commits.py`), deciding what runs.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from de_stack.failures import TransientFailure
from de_stack.flow.event_hours import EventHours

if TYPE_CHECKING:
    from psycopg import Connection

    from de_stack.resources.lake_log import Commit


COMMIT = (
    "insert into ledger.commits (table_id, version, kind, token, slice, rows, details, "
    "committed_at) values (%s, %s, %s, %s, %s, %s, %s, %s) "
)
TOUCH = (
    "insert into ledger.touched (table_id, version, event_hour, rows, late_rows, ingest_first, "
    "ingest_last, most_late_s) values (%s, %s, %s, %s, %s, %s, %s, %s)"
)

# What a table has used of its source (in some hours), as its commits say: the newest of each hour.
# It stood from the first one that found rows in the source.
APPLIED_FROM_LOG = """
with used as (
    select t.table_id, t.event_hour, t.version, c.committed_at, c.details->>'run_id' as run_id,
           coalesce((c.details->>'reach')::int, 0) as reach,
           c.details->>'source' as source, (c.details->>'source_version')::bigint as used_version,
           (select min(o.version) from ledger.touched o
            where o.table_id = c.details->>'source' and o.event_hour = t.event_hour) as first
    from ledger.touched t join ledger.commits c using (table_id, version)
    where t.table_id = %(table)s and c.kind = 'derive'
      and (%(hours)s::timestamptz[] is null or t.event_hour = any(%(hours)s)))
insert into ledger.applied (consumer, event_hour, source_version, run_id, applied_at, source,
                            first_applied_at, reach)
select distinct on (event_hour) table_id, event_hour, used_version, run_id, committed_at, source,
       coalesce(min(committed_at) filter (where used_version >= first) over hour,
                min(committed_at) over hour), reach
from used window hour as (partition by event_hour)
order by event_hour, version desc
"""


@dataclass(frozen=True)
class Touched:
    """One event hour that a commit touched. Late rows and ingest hours: for landings only.

    `most_late_s` are seconds between the hour's end and the broker's time of the latest late row.
    """

    event_hour: datetime
    rows: int | None = None
    late_rows: int | None = None
    ingest_first: datetime | None = None
    ingest_last: datetime | None = None
    most_late_s: int | None = None


@dataclass(frozen=True)
class Landed:
    """Where landing stands: number of the last slice, topic id, end offset of each partition."""

    slice: int
    topic_id: str
    offsets: dict[int, int]


class Ledger(EventHours):
    """Commits and entries, beside the questions about event hours. Each call is one transaction."""

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

    def token_of(self, table_id: str, version: int) -> str | None:
        """Token of a commit, empty for maintenance; None where the ledger does not know it."""
        row = self._one(
            "select coalesce(token, '') from ledger.commits where table_id = %s and version = %s",
            (table_id, version),
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
        """Enter one commit of a table's log with what it touched; a known one is left alone.

        Raises:
            TransientFailure: the ledger was made anew meanwhile and lacks the commits before it.
        """
        details: dict[str, Any] = commit.metadata or {}
        with self._postgres.transaction(
            f"enter commit {commit.version} of {table_id}"
        ) as connection:
            # A rebuild of the ledger is waited for; what it leaves is what counts.
            connection.execute("lock table ledger.commits in row exclusive mode")
            (last,) = connection.execute(
                "select max(version) from ledger.commits where table_id = %s", (table_id,)
            ).fetchone() or (None,)
            if (-1 if last is None else last) < commit.version - 1:
                raise TransientFailure(
                    f"enter commit {commit.version} of {table_id}",
                    f"the ledger was made anew meanwhile and ends at {last}",
                    page="another-writer",
                )
            made = connection.execute(
                COMMIT + "on conflict do nothing", entry(table_id, commit, kind, rows)
            ).rowcount
            if not made:
                return
            connection.cursor().executemany(
                TOUCH, [touch(table_id, commit.version, t) for t in touched]
            )
            if kind == "remake":
                # What the lost table held is gone: it has used nothing, and its users will see.
                connection.execute(
                    "delete from ledger.touched where table_id = %s and version < %s",
                    (table_id, commit.version),
                )
                connection.execute("delete from ledger.applied where consumer = %s", (table_id,))
            if kind == "derive":
                hours = [t.event_hour for t in touched]
                _apply(
                    connection,
                    table_id,
                    hours,
                    details["source_version"],
                    details["run_id"],
                    details.get("source"),
                    commit.committed_at,
                    reach=details.get("reach", 0),
                )

    def apply(
        self,
        consumer: str,
        hours: list[datetime],
        source_version: int,
        run_id: str,
        source: str | None = None,
        reach: int = 0,
    ) -> None:
        """Enter that a consumer has used a source version of these hours, without a commit.

        With `reach` it has read as many hours before the first one, too. An older version than the
        one entered changes nothing: that consumer has lost a race.
        """
        with self._postgres.transaction(f"enter what {consumer} has used") as connection:
            given = (connection, consumer, hours, source_version, run_id, source)
            _apply(*given, reach=reach, only_forward=True)

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
            connection.execute(APPLIED_FROM_LOG, {"table": table_id, "hours": lost})
        return len(set(lost))


def entry(table_id: str, commit: Commit, kind: str, rows: int | None) -> tuple[Any, ...]:
    """Values of `COMMIT`."""
    details: dict[str, Any] = commit.metadata or {}
    return (
        table_id,
        commit.version,
        kind,
        details.get("token"),
        details.get("slice"),
        rows,
        json.dumps(details),
        commit.committed_at,
    )


def touch(table_id: str, version: int, t: Touched) -> tuple[Any, ...]:
    """Values of `TOUCH`."""
    ingest = (t.ingest_first, t.ingest_last)
    return (table_id, version, t.event_hour, t.rows, t.late_rows, *ingest, t.most_late_s)


def _apply(
    connection: Connection,
    consumer: str,
    hours: list[datetime],
    source_version: int,
    run_id: str,
    source: str | None,
    at: datetime | None = None,
    reach: int = 0,
    only_forward: bool = False,
) -> None:
    guard = "where a.source_version <= excluded.source_version" if only_forward else ""
    # The first time stays, except that of an hour that was empty then: it had no numbers to stand.
    connection.cursor().executemany(
        (
            "insert into ledger.applied as a (consumer, event_hour, source_version, run_id, "
            "source, first_applied_at, reach) "
            "values (%s, %s, %s, %s, %s, coalesce(%s, now()), %s) "
            "on conflict (consumer, event_hour) do update "
            "set source_version = excluded.source_version, run_id = excluded.run_id, "
            "applied_at = now(), reach = excluded.reach, "
            "source = coalesce(excluded.source, a.source), "
            "first_applied_at = case when a.source_version < (select min(t.version) "
            "from ledger.touched t where t.table_id = excluded.source "
            "and t.event_hour = excluded.event_hour) "
            f"then excluded.first_applied_at else a.first_applied_at end {guard}"
        ).encode(),
        [(consumer, hour, source_version, run_id, source, at, reach) for hour in hours],
    )
