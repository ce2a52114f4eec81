"""Every table that the ledger should know: the contracts' own, and what was derived into the lake.

Belongs here: finding tables and their grain. Does not belong here: what their logs say of rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from de_stack.contracts import load_all
from de_stack.contracts.day_files import load_all_day_files
from de_stack.failures import PermanentFailure
from de_stack.flow.tables import Table
from de_stack.resources import lake_listing
from de_stack.resources.lake import Lake
from de_stack.resources.lake_log import Commit

if TYPE_CHECKING:
    from de_stack.settings import Settings


@dataclass(frozen=True)
class Log:
    """A table, its commits from the oldest that the store still has, and why they end if broken."""

    table: Table
    oldest: int
    commits: list[Commit]
    broken: str = ""


def logs(settings: Settings) -> list[Log]:
    """The log of every table of ours, by table id.

    Bronze and silver tables are those of the contracts; another one is ours if one of its commits
    says so. Its grain is its source's.

    Raises:
        TransientFailure: the store did not answer.
    """
    lake, names = Lake(settings), settings.names
    grains = {
        names.table_id(s.domain, layer, s.entity): s.grain
        for s in load_all().values()
        for layer in ("bronze", "silver")
    }
    grains |= {
        names.table_id(f.domain, "bronze", f.entity): f.grain for f in load_all_day_files().values()
    }
    found: list[tuple[str, str, int, list[Commit], str]] = []
    sources: dict[str, str] = {}
    for domain, layer, entity in lake_listing.tables(settings):
        table_id, uri = names.table_id(domain, layer, entity), lake.uri(domain, layer, entity)
        oldest = lake_listing.oldest_commit(settings, uri) or 0
        commits, broken = [], ""
        try:
            commits = lake.commits_after(uri, oldest - 1)
        except PermanentFailure as failure:
            broken = failure.got
        ours = [commit.metadata for commit in commits if commit.metadata]
        if table_id not in grains and not ours and not broken:
            continue
        if derived := next((d for d in reversed(ours) if "source" in d), None):
            sources[table_id] = derived["source"]
        found.append((table_id, uri, oldest, commits, broken))
    # Grains last: a source may come after its user in the alphabet.
    return [
        Log(Table(t, uri, "", "", (), _grain(t, sources, grains)), oldest, commits, broken)
        for t, uri, oldest, commits, broken in found
    ]


def log_of(settings: Settings, table: Table, after: int) -> Log | None:
    """One table's commits after a version; None if there is no table.

    Raises:
        TransientFailure: the store did not answer.
    """
    oldest = lake_listing.oldest_commit(settings, table.uri)
    if oldest is None:
        return None
    try:
        return Log(table, oldest, Lake(settings).commits_after(table.uri, max(oldest - 1, after)))
    except PermanentFailure as failure:
        return Log(table, oldest, [], failure.got)


def _grain(table_id: str, sources: dict[str, str], grains: dict[str, str]) -> str:
    passed: set[str] = set()
    while table_id not in grains and table_id in sources and table_id not in passed:
        passed.add(table_id)
        table_id = sources[table_id]
    return grains.get(table_id, "hour")
