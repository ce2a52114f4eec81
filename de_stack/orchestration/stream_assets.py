"""The assets that every stream has: topic, bronze, silver, dead letters.

Belongs here: the factories, from a contract. Does not belong here: how rows move (`flow`), gold
(`gold_assets.py`), a domain's own words for its tables.
"""

from typing import Any

import dagster as dg

from de_stack import naming, partitions
from de_stack.contracts import Stream
from de_stack.contracts.schemas import catalogue_columns
from de_stack.flow.bronze import bronze, bronze_columns
from de_stack.flow.dead_letters import enter_letters
from de_stack.flow.land import land
from de_stack.flow.letter_shelf import COLUMNS
from de_stack.flow.refine import refine, silver, silver_columns
from de_stack.orchestration.assets import common, report_ingested, row_count
from de_stack.orchestration.derived import derived
from de_stack.settings import Settings


def topic(stream: Stream) -> dg.AssetSpec:
    """The Kafka topic, filled from outside."""
    return dg.AssetSpec(
        **common(stream, "topic", {"kafka"}, catalogue_columns(stream), stream.name),
        description=f"{stream.description} As Kafka holds it, for {stream.retention.days} days.",
    )


def landed(stream: Stream) -> dg.AssetsDefinition:
    """Topic -> bronze: as it came, each offset once."""

    @dg.asset(
        **common(
            stream,
            "bronze",
            {"spark", "delta"},
            bronze_columns(stream),
            f"lake.{stream.domain}.{naming.asset_name('bronze', stream.entity)}",
        ),
        deps=[naming.asset_key(stream.domain, "topic", stream.entity)],
        partitions_def=partitions.ingest_partitions(stream),
        backfill_policy=dg.BackfillPolicy.single_run(),
        pool="spark",
    )
    def asset(
        context: dg.AssetExecutionContext,
        settings: dg.ResourceParam[Settings],
        spark: dg.ResourceParam[Any],
    ) -> dg.MaterializeResult:
        """Every message of the topic, raw and decoded, with its offset and the reason if it is bad.

        A run lands everything up to the topic's end, whatever hour it was asked for, and reports
        every ingest hour that it filled. What has landed is not landed again.
        """
        landing = land(settings, stream, lambda: spark.spark_session, context.run.run_id)
        table = bronze(settings, stream)
        report_ingested(context, settings, stream, table, landing.hours)
        return dg.MaterializeResult(
            metadata={
                "slices": landing.slices,
                "rows_landed": landing.rows,
                "dead_letters": landing.dead,
                **row_count(settings, table),
            }
        )

    return asset


def refined(stream: Stream) -> dg.AssetsDefinition:
    """Bronze -> silver: typed, one row per event."""
    return derived(
        stream,
        naming.asset_name("silver", stream.entity),
        naming.asset_name("bronze", stream.entity),
        silver_columns(stream),
        """One typed row per event, by the period of its event time.

        A pure function of all good bronze rows of the period: running it again changes nothing, and
        a late row repairs its period.
        """,
        lambda settings, *how: refine(settings, stream, *how),
        lambda settings: silver(settings, stream),
        # Any ingest hour may hold a row of any event hour; the ledger narrows it down at run time.
        looks_back=None,
    )


def rejected(stream: Stream) -> dg.AssetsDefinition:
    """Bronze -> dead letters in Postgres, for people to mend."""
    name = naming.asset_name("dead", stream.entity)

    @dg.asset(
        **common(stream, "dead", {"postgres"}, COLUMNS, f"serving.{stream.domain}.{name}"),
        deps=[naming.asset_key(stream.domain, "bronze", stream.entity)],
    )
    def asset(
        context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.MaterializeResult:
        """Every message against the contract: code, field, reason, original bytes, its fate.

        A letter is open until a message that repeats it has landed; `de-stack dead-letters` lists
        them and sends them again.
        """
        done = enter_letters(settings, stream, context.run.run_id)
        return dg.MaterializeResult(
            metadata={
                "letters_found": done.letters,
                "replays_found": done.replays,
                "open": done.open,
                "bronze_version": done.source_version,
                "dagster/row_count": done.total,
            }
        )

    return asset
