"""A batch -> one Delta commit, fenced by the number of the batch.

Belongs here: appending or replacing, and what the commit says. Does not belong here: making tables
(`flow.tables`), the ledger.

Delta itself skips a number that a query has committed before (`txnAppId`, `txnVersion`), so that a
batch that comes again after a crash changes nothing. But it skips computing the rows as well. Spark
then misses the batch's state ("Not all StateStores committed", the query ends) and does not learn
how new the rows are: the windows that they close were not given. So what is skipped is computed.

A query that was begun anew gives all that its topic has once more: its first batch replaces what
the one before has left (Delta keeps it as an older version).

The commit carries our metadata like any other: whoever reads the table next holds its log against
the ledger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from de_stack.flow import commits, tables
from de_stack.naming import asset_name
from de_stack.resources.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from de_stack.flow.continuous.query import Batch, Mode
    from de_stack.settings import Settings


@dataclass(frozen=True)
class LakeSink:
    """A Delta table `live_<entity>`, in folders by the period of its `time_column`."""

    domain: str
    entity: str
    # (name, Spark type, description)
    columns: tuple[tuple[str, str, str], ...]
    time_column: str
    grain: str = "hour"
    modes: frozenset[Mode] = frozenset(("append", "complete"))

    @property
    def takes(self) -> list[str]:
        """Its own columns."""
        return [name for name, _, _ in self.columns]

    def target(self, settings: Settings) -> str:
        """`delta stocks.live_closed_averages`."""
        schema = settings.names.schema(self.domain)
        return f"delta {schema}.{asset_name('live', self.entity)}"

    @property
    def all_columns(self) -> tuple[tuple[str, str, str], ...]:
        """Its own columns and those of the layout."""
        return (*self.columns, *tables.LAYOUT)

    def table(self, settings: Settings) -> tables.Table:
        """The table in this namespace."""
        return tables.Table(
            settings.names.table_id(self.domain, "live", self.entity),
            Lake(settings).uri(self.domain, "live", self.entity),
            ", ".join(f"`{name}` {kind}" for name, kind, _ in self.all_columns),
            "event_date",
            tables.EVENT_STATS,
            self.grain,
        )

    def prepare(self, settings: Settings, session: SparkSession) -> None:
        """Make the table."""
        tables.create(session, Lake(settings), self.table(settings))

    def shaped(self, rows: DataFrame) -> DataFrame:
        """Its own columns and those of the layout."""
        from pyspark.sql import functions as f

        laid_out = rows.withColumn(
            "event_hour", f.date_trunc(self.grain, self.time_column)
        ).withColumn("event_date", f.expr(tables.folder_of(self.grain)))
        return laid_out.select([name for name, _, _ in self.all_columns])

    def write(self, settings: Settings, rows: DataFrame, batch: Batch) -> int | None:
        """Commit; a number that was committed before is skipped by Delta. Errors: Spark's own.

        A batch that closes no window makes no version of the table: nobody could tell it from the
        one before, and there would be two a second.
        """
        table = self.table(settings)
        app = f"stream:{table.table_id}:{batch.query_id}"
        known = Lake(settings).transaction(table.uri, app)
        if known is not None and known >= batch.number:
            rows.write.format("noop").mode("overwrite").save()
            return 0
        # Delta keeps the number for as long as the table: no duration is set for it to go before.
        is_first, is_all = known is None, batch.mode == "complete"
        # Looked at twice and computed once. All of it: Spark misses the state of what is not.
        rows = rows.coalesce(1).persist()
        try:
            found = rows.count()
            if found or is_first or is_all:
                _commit(rows, table.uri, app, batch, is_all=is_first or is_all)
        finally:
            rows.unpersist()
        return found


def _commit(rows: DataFrame, uri: str, app: str, batch: Batch, *, is_all: bool) -> None:
    _, metadata = commits.envelope(
        "stream", batch.query_id, query=batch.query, batch_id=batch.number
    )
    (
        rows.write.format("delta")
        .mode("overwrite" if is_all else "append")
        .option("txnAppId", app)
        .option("txnVersion", batch.number)
        .option("userMetadata", metadata)
        .save(uri)
    )
