"""Events of bronze by event hour, counted in bounded memory.

Belongs here: distinct event ids, batch by batch. Does not belong here: what they are compared with
(`counts.py`, `reconciliation.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import TYPE_CHECKING

from de_stack import partitions
from de_stack.failures import PermanentFailure
from de_stack.flow import commits
from de_stack.flow.ledger import Ledger
from de_stack.resources.lake import Lake

if TYPE_CHECKING:
    from de_stack.flow.event_hours import Extent
    from de_stack.flow.tables import Table
    from de_stack.settings import Settings

# Ids of so many rows are held at once, about 200 MB; a single hour that has more is one batch.
_BATCH_ROWS = 1_000_000


def events(
    settings: Settings,
    raw: Table,
    version: int,
    first: datetime | None = None,
    last: datetime | None = None,
    among: Collection[datetime] | None = None,
) -> dict[datetime, tuple[int, int]]:
    """Event hour -> (good rows, distinct event ids) of bronze at a version.

    The ledger says which hours there are and which ingest days hold them, so that each batch reads
    only the folders and files that it needs.

    Args:
        settings: where everything is.
        raw: the bronze table.
        version: which of its versions.
        first: first event hour; the table's first without it.
        last: last event hour, included; the table's last without it.
        among: only these hours; all between without it.

    Raises:
        Failure: a system was away, or a file cannot be read.
    """
    lake, found = Lake(settings), {}
    extents = Ledger(settings).extents(raw.table_id, version, first, last)
    wanted = [e for e in extents if among is None or e.event_hour in among]
    for batch in batches(wanted, _BATCH_ROWS):
        low, high = (f"to_timestamp('{batch[i].event_hour:%Y-%m-%dT%H:%M:%SZ}')" for i in (0, -1))
        ingest = (min(e.ingest_first for e in batch), max(e.ingest_last for e in batch))
        since, until = (f"date '{day}'" for day in partitions.days(*ingest, raw.grain))
        sql = (
            "select event_hour, count(*) as n, count(distinct event_id) as ids from t "
            f"where error is null and ingest_date >= {since} and ingest_date <= {until} "
            f"and event_hour >= {low} and event_hour <= {high} group by event_hour"
        )
        hours = {e.event_hour for e in batch}
        for row in lake.query(raw.uri, sql, version).to_pylist():
            hour = commits.utc(row["event_hour"])
            if hour in hours:
                found[hour] = (row["n"], row["ids"])
    for extent in wanted:
        # What is counted here is what other tables are held against: a row that was not looked at
        # would be missing there without anybody's notice.
        if (rows := found.get(extent.event_hour, (0, 0))[0]) != extent.rows:
            raise PermanentFailure(
                f"count the events of {raw.table_id}",
                f"{rows} rows of {extent.event_hour.isoformat()} at version {version}, the ledger "
                f"knows of {extent.rows}",
                "`de-stack ledger check`",
                page="ledger-disagrees",
            )
    return found


def batches(extents: list[Extent], most: int) -> Iterator[list[Extent]]:
    """Neighbours together, up to so many rows; one that has more alone goes alone."""
    batch: list[Extent] = []
    rows = 0
    for extent in extents:
        if batch and rows + extent.rows > most:
            yield batch
            batch, rows = [], 0
        batch.append(extent)
        rows += extent.rows
    if batch:
        yield batch
