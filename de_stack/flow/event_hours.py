"""Questions about event hours: which wait, which are held, which ingest hours hold their rows.

Belongs here: what follows from commits, what they touched and what was used of them. Does not
belong here: entries and commits (`ledger.py`), contracts, what runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from de_stack.partitions import interval
from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from de_stack.settings import Settings


@dataclass(frozen=True)
class Lag:
    """An event hour whose source has moved on to `version`, at `touched_at`, since it was used."""

    event_hour: datetime
    version: int
    touched_at: datetime
    is_held: bool


@dataclass(frozen=True)
class Seen:
    """What has landed of an event hour. `late_at` is when its newest late rows did."""

    event_hour: datetime
    rows: int
    late_rows: int
    most_late_s: int | None
    late_at: datetime | None


@dataclass(frozen=True)
class Extent:
    """Rows that landings brought to an event hour, and the ingest hours that hold them."""

    event_hour: datetime
    rows: int
    ingest_first: datetime
    ingest_last: datetime


class EventHours:
    """Each question is one transaction."""

    def __init__(self, settings: Settings) -> None:
        self._postgres = Postgres(settings, "ledger")

    def lagging(
        self, consumer: str, source: str, grain: str, look_back: timedelta | None
    ) -> list[Lag]:
        """Event hours of `source` touched after what `consumer` has used of them, oldest first.

        A consumer that reads back over some hours (`derive` enters how many) has to use a touch in
        as many following hours, too, as soon as they have begun.

        One is held when it had numbers, and its newest touch came later than `look_back` after the
        hour's end and after the first time that it was used: numbers that stood for that long do
        not change by themselves. A release covers touches up to the version that it names.
        """
        rows = self._all(
            "select event_hour, version, touched_at, is_held "
            "from ledger.lagging(%s, %s, %s::interval, %s, %s) order by event_hour",
            # Our own clock: partitions begin by it as well.
            (consumer, source, interval(grain), look_back, datetime.now(UTC)),
        )
        return [Lag(*row) for row in rows]

    def pending(
        self,
        consumer: str,
        source: str,
        look_back: timedelta | None = None,
        grain: str = "hour",
    ) -> list[datetime]:
        """Event hours that lag and are not held, oldest first; without `look_back` none is held."""
        lags = self.lagging(consumer, source, grain, look_back)
        return [lag.event_hour for lag in lags if not lag.is_held]

    def held(
        self, consumer: str, source: str, look_back: timedelta, grain: str = "hour"
    ) -> list[Lag]:
        """Event hours that lag and wait for a person's release, oldest first."""
        return [lag for lag in self.lagging(consumer, source, grain, look_back) if lag.is_held]

    def seen(self, table_id: str, also: list[datetime]) -> list[Seen]:
        """Event hours of a table that late rows landed in, and others, oldest first."""
        rows = self._all(
            "select event_hour, rows, late_rows, most_late_s, late_at from ledger.hours "
            "where table_id = %s and (late_rows > 0 or event_hour = any(%s)) order by event_hour",
            (table_id, also),
        )
        return [Seen(hour, int(n), int(late), *rest) for hour, n, late, *rest in rows]

    def behind(
        self, target: str, target_version: int, source: str, source_version: int
    ) -> list[datetime]:
        """Event hours of a source at a version that a table derived from it lacks at a version.

        Hours that the target's windows reach from these are among them.
        """
        return [
            row[0]
            for row in self._all(
                "with used as (select distinct on (t.event_hour) t.event_hour, "
                "(c.details->>'source_version')::bigint as version from ledger.touched t "
                "join ledger.commits c using (table_id, version) "
                "where t.table_id = %s and t.version <= %s order by t.event_hour, t.version desc), "
                "said as (select (c.details->>'period')::interval as period, "
                "(c.details->>'reach')::int as reach from ledger.commits c where c.table_id = %s "
                "and c.version <= %s and c.kind = 'derive' order by c.version desc limit 1) "
                "select t.event_hour from (select 1) one left join said on true cross join lateral "
                "ledger.reached(%s, said.period, said.reach, 'infinity') t "
                "left join used u using (event_hour) where t.version <= %s "
                "group by t.event_hour, u.version "
                "having max(t.version) > coalesce(u.version, -1) order by 1",
                (target, target_version, target, target_version, source, source_version),
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

    def extents(
        self, table_id: str, version: int, first: datetime | None, last: datetime | None
    ) -> list[Extent]:
        """Event hours that hold landed rows at a version, oldest first."""
        rows = self._all(
            "select event_hour, greatest(sum(rows), 0)::bigint, min(ingest_first), "
            "max(ingest_last) from ledger.touched where table_id = %s and version <= %s "
            "and event_hour >= coalesce(%s::timestamptz, '-infinity') "
            "and event_hour <= coalesce(%s::timestamptz, 'infinity') "
            "group by event_hour having min(ingest_first) is not null order by event_hour",
            (table_id, version, first, last),
        )
        return [Extent(*row) for row in rows]

    def touched_hours(
        self, table_id: str, first: datetime | None, last: datetime | None
    ) -> list[datetime]:
        """Event hours that a table was touched in, between two times, oldest first."""
        rows = self._all(
            "select distinct event_hour from ledger.touched where table_id = %s "
            "and event_hour >= coalesce(%s::timestamptz, '-infinity') "
            "and event_hour <= coalesce(%s::timestamptz, 'infinity') order by 1",
            (table_id, first, last),
        )
        return [row[0] for row in rows]

    def rows_by_hour(self, table_id: str, first: datetime, last: datetime) -> dict[datetime, int]:
        """Rows that each event hour of a span was touched with, oldest first; none: not in it."""
        return dict(
            self._all(
                "select event_hour, sum(rows)::bigint from ledger.touched where table_id = %s "
                "and event_hour between %s and %s group by 1 order by 1",
                (table_id, first, last),
            )
        )

    def settled(
        self,
        consumer: str,
        source: str,
        grain: str,
        look_back: timedelta | None,
        span: tuple[datetime, datetime],
        rows: int,
        within: timedelta,
    ) -> list[datetime]:
        """Event hours of a span that are no more to be computed only because they lie there.

        They hold more rows than that; or what lands in them within that time may be held.
        """
        return [
            row[0]
            for row in self._all(
                "select t.event_hour from ledger.touched t left join ledger.applied a "
                "on a.consumer = %s and a.event_hour = t.event_hour "
                "where t.table_id = %s and t.event_hour between %s and %s "
                "group by t.event_hour, a.first_applied_at having sum(t.rows) > %s "
                "or greatest(t.event_hour + %s::interval, a.first_applied_at) + %s < now() + %s",
                (consumer, source, *span, rows, interval(grain), look_back, within),
            )
        ]

    def last_hour(self, table_id: str, version: int) -> datetime | None:
        """Newest event hour that a table was touched in, up to a version."""
        sql = "select max(event_hour) from ledger.touched where table_id = %s and version <= %s"
        row = self._one(sql, (table_id, version))
        return row[0] if row else None

    def before_landing(self, table_id: str) -> int:
        """Offsets that Kafka had deleted before a topic's first slice."""
        row = self._one(
            "select coalesce(sum(o.value::bigint), 0) from (select distinct on "
            "(details->>'topic_id') details from ledger.commits "
            "where table_id = %s and kind = 'land' order by details->>'topic_id', slice) c, "
            "jsonb_each_text(c.details->'landed' || (c.details->'start')) o",
            (table_id,),
        )
        return int(row[0]) if row else 0

    def _one(self, sql: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        rows = self._all(sql, values)
        return rows[0] if rows else None

    def _all(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._postgres.transaction("read the ledger", timeout_s=20) as connection:
            return connection.execute(sql.encode(), values).fetchall()
