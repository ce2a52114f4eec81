"""bronze_tweets -> daily summary, replies and renames -> Postgres.

Belongs here: the three tables, in the lake and in Postgres, as assets. Does not belong here: the
rules (`core/rules.py`), the columns (`core/schema.py`), which days wait.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any

import dagster as dg

from de_stack import naming, partitions
from de_stack.contracts.day_files import load_day_files
from de_stack.defs.tweets.core import rules, schema
from de_stack.flow.day_files import bronze
from de_stack.flow.derive import Derived, derive
from de_stack.flow.publish import Published, ServingTable, publish_hours
from de_stack.flow.tables import EVENT_STATS, LAYOUT, Table, timestamp
from de_stack.orchestration.assets import common, event_range, report_derived, row_count
from de_stack.resources.lake import Lake
from de_stack.settings import Settings

TWEETS: Any = load_day_files("tweets")
_DAYS = partitions.event_partitions(TWEETS)
_BRONZE = naming.asset_key("tweets", "bronze", "tweets")
# Any day may look into all before it; the ledger knows which days that makes pending.
_ALL_DAYS = dg.AllPartitionMapping()


@dataclass(frozen=True)
class Served:
    """One of the three tables. `looks_back`: its rule needs all earlier days."""

    entity: str
    columns: tuple[tuple[str, str, str, str], ...]
    key: tuple[str, ...]
    rule: Callable[[Any, datetime, datetime], Any]
    looks_back: bool
    meaning: str

    @property
    def lake_columns(self) -> tuple[tuple[str, str, str], ...]:
        """(name, Spark type, description) of the Delta table."""
        return (*((n, kind, text) for n, kind, _, text in self.columns), *LAYOUT)

    @property
    def postgres_columns(self) -> tuple[tuple[str, str, str], ...]:
        """(name, Postgres type, description) of the published table."""
        return tuple((n, kind, text) for n, _, kind, text in self.columns)

    def gold(self, settings: Settings) -> Table:
        """The Delta table."""
        return Table(
            settings.names.table_id("tweets", "gold", self.entity),
            Lake(settings).uri("tweets", "gold", self.entity),
            ", ".join(f"`{name}` {kind}" for name, kind, _ in self.lake_columns),
            "event_date",
            EVENT_STATS,
            TWEETS.grain,
        )

    def published(self, settings: Settings) -> str:
        """How the ledger calls the table in Postgres."""
        return settings.names.table_id("tweets", "published", f"gold_{self.entity}")

    def derive(
        self, settings: Settings, spark: Any, first: datetime, last: datetime, run_id: str
    ) -> Derived:
        """Compute the days first..last from bronze. Errors: see `flow.derive`."""
        return derive(
            settings,
            bronze(settings, TWEETS),
            self.gold(settings),
            first,
            last,
            lambda rows: self.rule(rows, first, last),
            spark,
            run_id,
            _up_to(last) if self.looks_back else None,
        )

    def publish(
        self, settings: Settings, first: datetime, last: datetime, run_id: str
    ) -> Published:
        """Bring the days first..last to Postgres. Errors: see `publish_hours`."""
        target = ServingTable(
            settings.names.schema("tweets"),
            f"gold_{self.entity}",
            self.postgres_columns,
            self.key,
            time_column="day",
            grain=TWEETS.grain,
            comment=self.meaning,
        )
        gold, consumer = self.gold(settings), self.published(settings)
        return publish_hours(settings, gold, target, consumer, first, last, run_id)


def _up_to(last: datetime) -> Callable[[Any, int], str]:
    """Good rows of all days up to the last; the date lets Delta skip folders."""
    condition = f"event_date <= DATE '{last:%Y-%m-%d}' AND event_hour <= {timestamp(last)}"
    return lambda _ledger, _version: condition


DAILY_SUMMARY = Served(
    "daily_summary",
    schema.DAILY_SUMMARY,
    schema.DAILY_SUMMARY_KEY,
    rules.daily_summary,
    looks_back=False,
    meaning="Per day and user: tweets, programs, hashtags, the last screen name.",
)
REPLIES = Served(
    "replies",
    schema.REPLIES,
    schema.REPLIES_KEY,
    rules.replies,
    looks_back=True,
    meaning="Who answered whom, and how long after the original; originals of all earlier days.",
)
RENAMES = Served(
    "renames",
    schema.RENAMES,
    schema.RENAMES_KEY,
    rules.renames,
    looks_back=True,
    meaning="Who tweets under another screen name than in the tweet before, of whatever day.",
)


def _gold(served: Served) -> Any:
    options = common(
        TWEETS,
        "gold",
        {"spark", "delta"},
        served.lake_columns,
        f"lake.tweets.gold_{served.entity}",
        entity=served.entity,
    )

    @dg.asset(
        **options,
        description=f"{served.meaning} A pure function of all files that are loaded.",
        deps=[dg.AssetDep(_BRONZE, partition_mapping=_ALL_DAYS if served.looks_back else None)],
        partitions_def=_DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool="spark",
    )
    def asset(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        spark: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        first, last = event_range(context, TWEETS)
        session = partial(getattr, spark, "spark_session")
        done = served.derive(settings, session, first, last, context.run.run_id)
        table = served.gold(settings)
        report_derived(context, settings, TWEETS, table.table_id)
        return dg.MaterializeResult(
            metadata={
                "rows": done.rows,
                "bronze_version": done.source_version,
                "delta_version": done.version,
                **row_count(settings, table),
            }
        )

    return asset


def _published(served: Served) -> Any:
    options = common(
        TWEETS,
        "published",
        {"postgres"},
        served.postgres_columns,
        f"serving.tweets.gold_{served.entity}",
        entity=f"gold_{served.entity}",
    )

    @dg.asset(
        **options,
        description=f"{served.meaning} In Postgres: whole days, in one transaction, never older.",
        deps=[naming.asset_key("tweets", "gold", served.entity)],
        partitions_def=_DAYS,
        backfill_policy=dg.BackfillPolicy.single_run(),
    )
    def asset(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        first, last = event_range(context, TWEETS)
        done = served.publish(settings, first, last, context.run.run_id)
        report_derived(context, settings, TWEETS, served.published(settings))
        return dg.MaterializeResult(
            metadata={
                "rows": done.rows,
                "days_replaced": done.hours,
                "days_already_there": done.skipped,
                "gold_version": done.source_version,
                "dagster/row_count": done.total,
            }
        )

    return asset


gold_daily_summary, published_gold_daily_summary = _gold(DAILY_SUMMARY), _published(DAILY_SUMMARY)
gold_replies, published_gold_replies = _gold(REPLIES), _published(REPLIES)
gold_renames, published_gold_renames = _gold(RENAMES), _published(RENAMES)
