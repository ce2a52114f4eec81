"""One Delta table from another, by event hours: refine (to silver) and serve (silver -> gold).

Belongs here: pinning the source version, replacing hours as a whole, saying in the commit which
version was used. Does not belong here: what the rows become (a domain's `core/rules.py`), which
hours are pending.

The hours of the target are a pure function of the source at one version; a second run changes
nothing. Hours that lost all their rows are replaced by nothing, not skipped.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from de_stack import partitions
from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.flow import commits
from de_stack.flow.ledger import Ledger
from de_stack.flow.remake import accepted_loss, remake
from de_stack.flow.tables import Table, create, event_periods, folder_of, timestamp
from de_stack.flow.widen import widen
from de_stack.logs import line
from de_stack.resources.lake import Lake
from de_stack.resources.spark import asking, open_session

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from de_stack.settings import Settings

    Transform = Callable[[DataFrame], DataFrame]
    Select = Callable[[Ledger, int], str]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Derived:
    """Version of the source that was used, version of the target that holds it, its rows."""

    source_version: int
    version: int
    rows: int


def same_periods(source: Table, first: datetime, last: datetime) -> Select:
    """Rows of the same event hours: for sources that have them as a column and a folder."""
    return lambda _ledger, _version: event_periods(source, first, last)


def reaching_back(source: Table, first: datetime, last: datetime, periods: int) -> Select:
    """Rows of the same event hours and of so many before the first: for windows that end in one."""
    return same_periods(source, partitions.after(first, source.grain, -periods), last)


def up_to(source: Table, last: datetime) -> Select:
    """Rows of all event periods up to the last: for rules that look back."""
    folder = partitions.folder(last, source.grain)
    condition = f"{source.partitioned_by} <= DATE '{folder}' AND event_hour <= {timestamp(last)}"
    return lambda _ledger, _version: condition


def derive(
    settings: Settings,
    source: Table,
    target: Table,
    first: datetime,
    last: datetime,
    transform: Transform,
    spark: Callable[[], SparkSession],
    run_id: str,
    select: Select | None = None,
    reach: int = 0,
) -> Derived:
    """Replace the target's event hours first..last (both included) by what the source says now.

    Args:
        settings: where everything is.
        source: read at its newest version, which the commit records.
        target: made if it is not there.
        first: first event hour to replace.
        last: last event hour to replace.
        transform: pure: source rows -> the target's columns.
        spark: gives the session.
        run_id: goes into the commit.
        select: SQL condition for the source rows, from ledger and version; the same hours without
        it.
        reach: how many hours before its own an hour of the target is computed from. What the
        transform gives of other hours than these is not kept, and the ledger is told, so that a
        touch of the source makes as many following hours pending.

    Raises:
        PermanentFailure: no source yet, or a log disagrees with the ledger.
        TransientFailure: another writer of these hours was first, or a system was away.
    """
    from pyspark.sql import functions as f

    lake, ledger = Lake(settings), Ledger(settings)
    tried = f"derive {target.table_id} {first.isoformat()}..{last.isoformat()}"
    source_version = commits.reconcile(lake, ledger, source)
    if source_version < 0:
        raise PermanentFailure(
            tried, f"{source.table_id} has no table yet", "land first", page="no-table-yet"
        )
    said = {
        "run_id": run_id,
        "table": target.table_id,
        "first": first.isoformat(),
        "last": last.isoformat(),
        "source_version": source_version,
    }
    lost = accepted_loss(settings, target)
    is_new = lost is None and commits.reconcile(lake, ledger, target) < 0
    token, metadata = commits.envelope(
        "derive",
        run_id,
        source=source.table_id,
        source_version=source_version,
        first=first.isoformat(),
        last=last.isoformat(),
        **({"reach": reach, "period": partitions.interval(target.grain)} if reach else {}),
    )
    with asking(settings, tried):
        session = open_session(settings, spark)
        if lost is not None:
            remake(settings, session, target, lost, run_id)
        elif is_new:
            create(session, lake, target)
        else:
            widen(settings, spark, target, run_id)
        frame = session.read.format("delta").option("versionAsOf", source_version).load(source.uri)
        rows = frame.where((select or same_periods(source, first, last))(ledger, source_version))
        derived = transform(rows).withColumn(target.partitioned_by, f.expr(folder_of(target.grain)))
        if reach:
            derived = derived.where(event_periods(target, first, last))
        if partitions.folder(first, target.grain) != partitions.folder(last, target.grain):
            # Each task would leave a file in each day's folder: seen 248 files instead of 31.
            derived = derived.hint("rebalance", f.col(target.partitioned_by))
        (
            derived.write.format("delta")
            .mode("overwrite")
            .option(
                "replaceWhere",
                event_periods(target, first, last),
            )
            .option("userMetadata", metadata)
            .save(target.uri)
        )
    newest = commits.reconcile(lake, ledger, target)
    version = ledger.token_version(target.table_id, token)
    if version is None:
        # Delta writes no commit when nothing replaces nothing: these hours are idle.
        with asking(settings, tried):
            is_empty = derived.isEmpty()
        if is_empty and count(lake, target, first, last, newest) == 0:
            idle = partitions.expand(first, last, target.grain)
            ledger.apply(target.table_id, idle, source_version, run_id, source.table_id, reach)
            log.info(line("nothing to derive, these hours are idle", **said))
            return Derived(source_version, newest, 0)
        raise TransientFailure(
            tried, "the log does not show the commit that Spark reported", page="another-writer"
        )
    rows = count(lake, target, first, last, version)
    log.info(line("derived hours", **said, version=version, rows=rows))
    return Derived(source_version, version, rows)


def count(lake: Lake, table: Table, first: datetime, last: datetime, version: int) -> int:
    """Rows of the event hours first..last at a version."""
    low, high = (m.strftime("%Y-%m-%dT%H:%M:%SZ") for m in (first, last))
    result = lake.query(
        table.uri,
        "select count(*) as n from t where event_hour >= "
        f"to_timestamp('{low}') and event_hour <= to_timestamp('{high}')",
        version,
    )
    return result.to_pylist()[0]["n"]
