"""A table whose newest commits were cut off, brought back to the commit before them.

Belongs here: finding broken commits, putting empty ones in their place, forgetting them in the
ledger. Does not belong here: bringing their rows back: landing does that from Kafka (and names what
Kafka no longer has), deriving from the source.

What came after a broken commit goes as well, whole or not: a slice that is followed by others would
never land again. A lost power supply may cut off several, in any order.

A broken commit's number is not given away again: whoever has used that version would take the next
commit for the one that it knows. A commit of ours without rows keeps the number.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from de_stack.contracts import load_all
from de_stack.contracts.day_files import load_all_day_files
from de_stack.failures import PermanentFailure
from de_stack.flow import commits
from de_stack.flow.ledger import Ledger
from de_stack.flow.tables import Table
from de_stack.resources.lake import Lake
from de_stack.resources.lake_log import LogCleaned, commit_info

if TYPE_CHECKING:
    from de_stack.settings import Settings


@dataclass(frozen=True)
class Repaired:
    """Versions `first` to `last` are empty now; they had touched so many event hours.

    Those of a derived table are pending again; bronze's are when their rows have landed again.
    """

    first: int
    last: int
    hours: int


def table_named(settings: Settings, domain: str, name: str) -> Table:
    """What a repair needs to know of `layer_entity`: its name in the ledger, its place, its grain.

    Raises:
        PermanentFailure: no such name is possible, or no contract has the domain.
    """
    layer, _, entity = name.partition("_")
    found = [*load_all().values(), *load_all_day_files().values()]
    grains = {s.grain for s in found if s.domain == domain}
    if len(grains) != 1:
        known = ", ".join(sorted({s.domain for s in found}))
        raise PermanentFailure(f"find {domain}/{name}", f"no domain {domain}", f"one of: {known}")
    try:
        table_id = settings.names.table_id(domain, layer, entity)
        uri = Lake(settings).uri(domain, layer, entity)
    except ValueError as error:
        raise PermanentFailure(f"find {domain}/{name}", str(error)) from error
    return Table(table_id, uri, "", "", (), grains.pop())


def repair(settings: Settings, table: Table, run_id: str) -> Repaired | None:
    """Replace every commit from the first broken one on by an empty one; None if none is broken.

    May be called again when it was interrupted.

    Raises:
        PermanentFailure: no table there, or the commit that makes it is broken.
        TransientFailure: the store or the ledger was away.
    """
    lake, ledger = Lake(settings), Ledger(settings)
    tried = f"repair {table.table_id}"
    newest = lake.newest_file(table.uri)
    if newest is None:
        raise PermanentFailure(tried, f"no Delta table at {table.uri}", page="no-table-yet")
    known, token = ledger.last_commit(table.table_id)
    if known > newest:
        raise PermanentFailure(
            tried,
            f"the ledger knows version {known}, the newest file is {newest}",
            "bring the missing commits back from a copy",
            page="log-went-back",
        )
    broken = lake.broken(table.uri, known)
    if broken:
        first = min(broken)
        if first == 0:
            raise PermanentFailure(
                tried,
                f"the commit that makes the table is cut off: {broken[0]}",
                "move it away",
                page="cut-commit",
            )
        # From the newest down: until the last step the first one stays broken, and is found again.
        for version in range(newest, first - 1, -1):
            _, metadata = commits.envelope("repair", run_id, lost=token, first=first)
            lake.replace_commit(table.uri, version, commit_info("REPAIR", metadata))
    else:
        replaced = _replaced_from(lake, table, known, token)
        if replaced is None:
            return None
        first = replaced
    hours = ledger.forget(table.table_id, first) if known >= first else 0
    commits.reconcile(lake, ledger, table)
    return Repaired(first, newest, hours)


def _replaced_from(lake: Lake, table: Table, known: int, token: str | None) -> int | None:
    """The first commit that an earlier call replaced, if it did not come to the ledger."""
    if known < 0:
        return None
    try:
        details = lake.commit(table.uri, known).metadata or {}
    except LogCleaned:
        return None  # Long ago, and another one behind it.
    if details.get("kind") != "repair" or details.get("token") == token:
        return None
    return details.get("first", known)
