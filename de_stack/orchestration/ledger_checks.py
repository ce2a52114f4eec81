"""Asset checks that hold tables, offsets and counts against what was promised of them.

Belongs here: check factories that every stream has. Does not belong here: the comparing (`flow`),
checks of silver's content (`checks.py`).

None blocks: what follows is right for what has landed, and a run that stops would make it stale as
well. What is wrong with our own tables is an error. Bad messages are a warning: their senders have
to act, and they are kept.
"""

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg

from de_stack import naming
from de_stack.contracts import Dataset, Stream
from de_stack.flow import landing_checks, reconciliation
from de_stack.flow import table_check as tables
from de_stack.flow.tables import Table
from de_stack.orchestration.checks import event_hours
from de_stack.settings import Settings

_MOST_SHOWN = 20


def _key(stream: Stream, layer: str) -> dg.AssetKey:
    return dg.AssetKey(naming.asset_key(stream.domain, layer, stream.entity))


def offset_check(stream: Stream) -> dg.AssetChecksDefinition:
    """Every offset of the topic landed once: slices follow each other without hole or overlap."""

    @dg.asset_check(
        asset=_key(stream, "bronze"),
        name="offset_ranges_contiguous",
        description="Each slice of offsets begins where the one before ended, but for losses and "
        "topics that a person has accepted.",
    )
    def check(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
        chain = landing_checks.offset_chain(settings, stream)
        return dg.AssetCheckResult(
            passed=not chain.broken,
            description="; ".join(chain.broken[:_MOST_SHOWN]) or None,
            metadata={
                "slices": chain.slices,
                "delta_version": chain.version,
                "broken": dg.MetadataValue.json(chain.broken[:_MOST_SHOWN]),
            },
        )

    return check


def table_check(
    stream: Dataset, layer: str, table: Callable[[Settings], Table], entity: str | None = None
) -> dg.AssetChecksDefinition:
    """The table's log and rows are what the ledger says; derived tables: of the run's hours."""

    @dg.asset_check(
        asset=dg.AssetKey(naming.asset_key(stream.domain, layer, entity or stream.entity)),
        name="ledger_equals_table",
        description="The newest commits and the rows of each event hour are those that the ledger "
        "knows. `de-stack ledger check` holds everything against it.",
    )
    def check(
        context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.AssetCheckResult:
        # The partitions of a landing are ingest hours; its rows may lie in any event hour.
        hours = None if layer == "bronze" else event_hours(context, stream)
        found = tables.check_table(settings, table(settings), hours)
        return dg.AssetCheckResult(
            passed=not found.disagreements,
            description="; ".join(found.disagreements[:_MOST_SHOWN]) or None,
            metadata={
                "log_version": found.log_version if found.log_version is not None else -1,
                "ledger_version": found.ledger_version if found.ledger_version is not None else -1,
                "disagreements": dg.MetadataValue.json(found.disagreements[:_MOST_SHOWN]),
            },
        )

    return check


def letter_check(stream: Stream) -> dg.AssetChecksDefinition:
    """Open dead letters stay within the contract's error rate: a warning, for senders to mend."""
    most, window = stream.error_rate, stream.error_rate_window

    @dg.asset_check(
        asset=_key(stream, "bronze"),
        name="dead_letter_budget",
        description=f"At most {most:.4%} of the messages of {window} are open dead letters.",
    )
    def check(settings: dg.ResourceParam[Settings]) -> dg.AssetCheckResult:
        found = landing_checks.letter_share(settings, stream, datetime.now(UTC))
        return dg.AssetCheckResult(
            passed=found.share <= most,
            severity=dg.AssetCheckSeverity.WARN,
            description=f"{found.open} of {found.messages} messages are open dead letters: "
            f"`de-stack dead-letters list {stream.name}`"
            if found.open
            else None,
            metadata={
                "messages": found.messages,
                "open": found.open,
                "share": found.share,
                "budget": most,
                "since": found.since.isoformat(),
                "delta_version": found.version,
            },
        )

    return check


def reconciliation_check(stream: Stream) -> dg.AssetChecksDefinition:
    """Accepted = bronze = silver + duplicates + dead + held, for what is settled."""

    @dg.asset_check(
        asset=_key(stream, "silver"),
        name="rows_reconcile",
        description="Each event of bronze is one row of silver, and what the collector has "
        "accepted has landed or waits in Kafka. Pending and held hours are not compared.",
    )
    def check(
        context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
    ) -> dg.AssetCheckResult:
        hours = event_hours(context, stream)
        rows = reconciliation.reconciled(settings, stream, hours)
        door = reconciliation.accepted(settings, stream)
        wrong = {str(d.event_hour): [d.source, d.target] for d in rows.wrong[:_MOST_SHOWN]}
        said = [f"{len(rows.wrong)} hours differ"] if wrong else []
        if door.missing:
            said.append(f"{door.missing} accepted events neither landed nor wait in Kafka")
        if door.reason:
            said.append(f"the collector's count was not compared: {door.reason}")
        return dg.AssetCheckResult(
            passed=not rows.wrong and not door.missing,
            description="; ".join(said) or None,
            metadata={
                "hours": rows.hours,
                "good_rows": rows.rows,
                "events": rows.events,
                "duplicates": rows.rows - rows.events,
                "silver": rows.silver,
                "wrong": dg.MetadataValue.json(wrong),
                "accepted": door.accepted,
                "missing": door.missing,
                "bronze_version": rows.versions[0],
                "silver_version": rows.versions[1],
            },
        )

    return check
