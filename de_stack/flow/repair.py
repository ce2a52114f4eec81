"""A table whose newest commit was cut off, brought back to the commit before it.

Belongs here: finding the broken commit, putting an empty one in its place, forgetting it in the
ledger. Does not belong here: bringing its rows back: landing does that from Kafka (and names what
Kafka no longer has), deriving from the source.

The broken commit's number is not given away again: whoever has used that version would take the
next commit for the one that it knows. A commit of ours without rows keeps the number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from de_stack.contracts import load_all
from de_stack.failures import PermanentFailure
from de_stack.flow import commits
from de_stack.flow.ledger import Ledger
from de_stack.flow.tables import Table
from de_stack.resources.lake import Lake
from de_stack.resources.lake_log import commit_info

if TYPE_CHECKING:
    from de_stack.settings import Settings


@dataclass(frozen=True)
class Repaired:
    """`version` was cut off; it had touched so many event hours.

    Those of a derived table are pending again; bronze's are when their rows have landed again.
    """

    version: int
    hours: int


def table_named(settings: Settings, domain: str, name: str) -> Table:
    """What a repair needs to know of `layer_entity`: its name in the ledger, its place, its grain.

    Raises:
        PermanentFailure: no such name is possible, or no contract has the domain.
    """
    layer, _, entity = name.partition("_")
    grains = {s.grain for s in load_all().values() if s.domain == domain}
    if len(grains) != 1:
        known = ", ".join(sorted({s.domain for s in load_all().values()}))
        raise PermanentFailure(f"find {domain}/{name}", f"no domain {domain}", f"one of: {known}")
    try:
        table_id = settings.names.table_id(domain, layer, entity)
        uri = Lake(settings).uri(domain, layer, entity)
    except ValueError as error:
        raise PermanentFailure(f"find {domain}/{name}", str(error)) from error
    return Table(table_id, uri, "", "", (), grains.pop())


def repair(settings: Settings, table: Table, run_id: str) -> Repaired | None:
    """Replace the newest commit by an empty one if it was cut off; None if it was not.

    May be called again when it was interrupted.

    Raises:
        PermanentFailure: no table there, or the commit that makes it is the broken one.
        TransientFailure: the store or the ledger was away.
    """
    lake, ledger = Lake(settings), Ledger(settings)
    tried = f"repair {table.table_id}"
    version = lake.newest_file(table.uri)
    if version is None:
        raise PermanentFailure(tried, f"no Delta table at {table.uri}")
    known, token = ledger.last_commit(table.table_id)
    if known > version:
        raise PermanentFailure(
            tried,
            f"the ledger knows version {known}, the newest file is {version}",
            "bring the missing commits back from a copy",
        )
    broken = lake.broken(table.uri, version)
    if broken:
        if version == 0:
            raise PermanentFailure(
                tried, f"the commit that makes the table is cut off: {broken}", "move it away"
            )
        _, metadata = commits.envelope("repair", run_id, lost=token if known == version else None)
        lake.replace_commit(table.uri, version, commit_info("REPAIR", metadata))
    elif known != version or not _is_repair_of(lake, table, version, token):
        return None
    hours = ledger.forget(table.table_id, version) if known == version else 0
    commits.reconcile(lake, ledger, table)
    return Repaired(version, hours)


def _is_repair_of(lake: Lake, table: Table, version: int, token: str | None) -> bool:
    """True where an earlier call wrote the commit and did not come to the ledger."""
    (commit,) = lake.commits_after(table.uri, version - 1)
    details = commit.metadata or {}
    return details.get("kind") == "repair" and details.get("lost") == token != details.get("token")
