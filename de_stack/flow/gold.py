"""A gold table: computed from another by event periods, kept in Delta, copied to Postgres.

Belongs here: what a domain says of such a table, and the two tables that follow from it. Does not
belong here: computing (`derive.py`), copying (`publish.py`), Dagster's words
(`orchestration.gold`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from de_stack.flow.derive import Derived, derive, reaching_back, up_to
from de_stack.flow.publish import Published, publish_hours
from de_stack.flow.refine import silver
from de_stack.flow.serving import ServingTable
from de_stack.flow.tables import EVENT_STATS, LAYOUT, Table
from de_stack.naming import asset_name
from de_stack.resources.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from de_stack.contracts import Dataset
    from de_stack.settings import Settings

# (name, Spark type, Postgres type, description)
Columns = tuple[tuple[str, str, str, str], ...]


@dataclass(frozen=True)
class Gold:
    """What a domain says of a gold table.

    `transform` takes rows of the table that it `reads`, and the first and last event period; it
    gives the `columns` and `event_hour`, the period that a row belongs to: that of its
    `time_column`. It is given the rows of these periods and of as many before the first as it
    `looks_back` (None: all of them). With a number, rows that it gives for other periods are left
    out, and a period whose source changed makes as many following ones pending. `count` is the
    column whose sum over an event period is the number of rows read in it, where there is one.
    """

    stream: Dataset
    layer: str
    entity: str
    columns: Columns
    key: tuple[str, ...]
    time_column: str
    transform: Callable[[DataFrame, datetime, datetime], DataFrame]
    description: str
    count: str | None = "count"
    reads: str = "silver"
    source: Callable[[Settings, Any], Table] = silver
    looks_back: int | None = 0

    @property
    def name(self) -> str:
        """Second part of the asset key, and the table's name in Postgres."""
        return asset_name(self.layer, self.entity)

    @property
    def lake_columns(self) -> tuple[tuple[str, str, str], ...]:
        """(name, Spark type, description) of the Delta table."""
        return (*((n, kind, text) for n, kind, _, text in self.columns), *LAYOUT)

    @property
    def serving_columns(self) -> tuple[tuple[str, str, str], ...]:
        """(name, Postgres type, description) of the copy."""
        return tuple((n, kind, text) for n, _, kind, text in self.columns)

    def table(self, settings: Settings) -> Table:
        """The Delta table."""
        return Table(
            settings.names.table_id(self.stream.domain, self.layer, self.entity),
            Lake(settings).uri(self.stream.domain, self.layer, self.entity),
            ", ".join(f"`{name}` {kind}" for name, kind, _ in self.lake_columns),
            "event_date",
            EVENT_STATS,
            self.stream.grain,
        )

    def serving(self, settings: Settings) -> ServingTable:
        """The Postgres table."""
        return ServingTable(
            settings.names.schema(self.stream.domain),
            self.name,
            self.serving_columns,
            self.key,
            time_column=self.time_column,
            grain=self.stream.grain,
            comment=self.description.splitlines()[0],
        )

    def consumer(self, settings: Settings) -> str:
        """How the ledger calls the copy in Postgres."""
        return settings.names.table_id(self.stream.domain, "published", self.name)

    def compute(
        self,
        settings: Settings,
        first: datetime,
        last: datetime,
        spark: Callable[[], SparkSession],
        run_id: str,
    ) -> Derived:
        """Replace event periods first..last by what is read now. Errors: see `derive`."""
        source, target = self.source(settings, self.stream), self.table(settings)
        back = self.looks_back
        select = up_to(source, last) if back is None else reaching_back(source, first, last, back)
        return derive(
            settings,
            source,
            target,
            first,
            last,
            lambda rows: self.transform(rows, first, last),
            spark,
            run_id,
            select,
            back or 0,
        )

    def publish(
        self, settings: Settings, first: datetime, last: datetime, run_id: str
    ) -> Published:
        """Bring event periods first..last to Postgres. Errors: see `publish_hours`."""
        return publish_hours(
            settings,
            self.table(settings),
            self.serving(settings),
            self.consumer(settings),
            first,
            last,
            run_id,
        )
