"""Asset checks of what silver holds, and of what is summed up from it.

Belongs here: check factories. Does not belong here: the counting (`flow.checks`), checks of landing
and ledger (`ledger_checks.py`).
"""

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg

from de_stack import naming
from de_stack.contracts import Dataset, Stream
from de_stack.flow import checks
from de_stack.flow.tables import Table
from de_stack.orchestration import spans
from de_stack.settings import Settings

_MOST_SHOWN = 20


def event_hours(context: dg.AssetCheckExecutionContext, stream: Dataset) -> checks.Range:
    """The run's event hours; None, for the whole table, where a check runs by itself."""
    return spans.periods_of(context.run.tags, stream.grain)


def contract_check(stream: Stream) -> dg.AssetChecksDefinition:
    """Silver holds what the contract promises: required fields, ranges, one row per event."""
    key = dg.AssetKey(naming.asset_key(stream.domain, "silver", stream.entity))

    @dg.asset_check(
        asset=key,
        name="contract_holds",
        description=f"Every row keeps the promises of contract {stream.name} {stream.version}.",
    )
    def check(
        context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.AssetCheckResult:
        rows, broken = checks.broken_promises(settings, stream, event_hours(context, stream))
        return dg.AssetCheckResult(
            passed=not broken,
            metadata={"rows": rows, "broken": dg.MetadataValue.json(broken)},
        )

    return check


def freshness_check(stream: Stream) -> dg.AssetChecksDefinition:
    """The newest silver row is as new as the contract wants: a warning, for sources may rest."""
    key = dg.AssetKey(naming.asset_key(stream.domain, "silver", stream.entity))

    @dg.asset_check(
        asset=key,
        name="is_fresh",
        description=f"The newest row is at most {stream.freshness} old.",
    )
    def check(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
        newest, version = checks.newest(settings, stream)
        age = None if newest is None else (datetime.now(UTC) - newest).total_seconds()
        return dg.AssetCheckResult(
            passed=age is not None and age <= stream.freshness.total_seconds(),
            severity=dg.AssetCheckSeverity.WARN,
            metadata={
                "newest": str(newest),
                "age_s": age if age is not None else "no row",
                "delta_version": version,
            },
        )

    return check


def sum_check(
    stream: Stream,
    asset: list[str],
    source: Callable[[Settings], Table],
    target: Callable[[Settings], Table],
    column: str,
) -> dg.AssetChecksDefinition:
    """The target accounts for every row of its source: per event hour, rows = sum of a column."""

    @dg.asset_check(
        asset=dg.AssetKey(asset),
        name="accounts_for_every_row",
        description=f"Per event hour the sum of {column} is the number of silver rows.",
    )
    def check(
        context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.AssetCheckResult:
        compared, wrong = checks.differences(
            settings,
            source(settings),
            target(settings),
            column,
            event_hours(context, stream),
        )
        shown = {str(d.event_hour): [d.source, d.target] for d in wrong[:_MOST_SHOWN]}
        return dg.AssetCheckResult(
            passed=not wrong,
            metadata={"hours": compared, "wrong": dg.MetadataValue.json(shown)},
        )

    return check
