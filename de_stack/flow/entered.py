"""What the ledger has of a table's commits, beside what every reader and writer asks.

Belongs here: rare questions about commits. Does not belong here: entering them (`ledger.py`), event
hours (`event_hours.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from de_stack.resources.postgres import Postgres

if TYPE_CHECKING:
    from de_stack.settings import Settings


def row_commits(
    settings: Settings, table_id: str, until: int
) -> list[tuple[int, str, dict[str, Any]]]:
    """(version, kind, details) of landings and reparses up to a version, oldest first."""
    with Postgres(settings, "ledger").transaction("read commits") as db:
        return db.execute(
            "select version, kind, details from ledger.commits where table_id = %s "
            "and version <= %s and kind in ('land', 'reparse') order by version",
            (table_id, until),
        ).fetchall()


def contract_version(settings: Settings, table_id: str) -> str | None:
    """Contract that a table was last written with; None before the first landing."""
    with Postgres(settings, "ledger").transaction("read commits") as db:
        row = db.execute(
            "select details->>'contract_version' from ledger.commits where table_id = %s "
            "and details->>'contract_version' is not null order by version desc limit 1",
            (table_id,),
        ).fetchone()
    return row[0] if row else None


@dataclass(frozen=True)
class LoadedFile:
    """A file's newest load: its number among all loads, its content, the day of its name, rows.

    `contract_version` is the contract that they were read with.
    """

    number: int
    version: int
    digest: str
    day: str
    rows: int
    bad: dict[str, int]
    contract_version: str


def loaded_files(settings: Settings, table_id: str) -> dict[str, LoadedFile]:
    """The files that a table holds, by name."""
    with Postgres(settings, "ledger").transaction("read which files are loaded") as db:
        rows = db.execute(
            "select distinct on (details->>'file') details, version from ledger.commits "
            "where table_id = %s and kind = 'load' order by details->>'file', version desc",
            (table_id,),
        ).fetchall()
    return {
        d["file"]: LoadedFile(
            *(d["load"], version, d["sha256"], d["day"], d["rows"], d["bad"]),
            d["contract_version"],
        )
        for d, version in rows
    }
