"""Columns that a table lacks because its contract has gained fields, added in a commit of ours.

Belongs here: which are missing, the commit that adds them. Does not belong here: filling them (new
rows bring them, `reparse.py` reads old ones again), columns that changed or went.

The commit is maintenance to the ledger: it changes no rows. Delta refuses a writer that has planned
with the columns before it; that one has lost a race, and goes on with the new ones.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from de_stack.flow import commits
from de_stack.flow.tables import Table, path, saying
from de_stack.logs import line
from de_stack.resources.lake import Lake
from de_stack.resources.spark import asking, open_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from de_stack.settings import Settings

log = logging.getLogger(__name__)


def widen(
    settings: Settings, spark: Callable[[], SparkSession], table: Table, run_id: str
) -> list[str]:
    """Add the columns that a table's DDL has and the table has not; their names, dotted.

    Costs a look into the log where none is missing; another writer may add them first.

    Raises:
        TransientFailure: Spark went away, or the disk is full.
    """
    from pyspark.errors import PySparkException

    lake = Lake(settings)
    lacking = _missing(lake, table)
    if not lacking:
        return []
    named = ", ".join(lacking)
    listed = ", ".join(f"{_quoted(name)} {kind}" for name, kind in lacking.items())
    _, metadata = commits.envelope("maintain", run_id, added=list(lacking))
    statement = f"ALTER TABLE delta.`{path(table.uri)}` ADD COLUMNS ({listed})"
    try:
        with asking(settings, f"add {named} to {table.table_id}"):
            session = open_session(settings, spark)
            with saying(session, metadata):
                session.sql(statement).collect()
    except PySparkException:
        if _missing(lake, table):
            raise
        return list(lacking)
    log.info(line("added columns", run_id=run_id, table=table.table_id, columns=named))
    return list(lacking)


def _missing(lake: Lake, table: Table) -> dict[str, str]:
    there = columns_of(lake, table)
    return {name: kind for name, kind in columns(table.ddl) if there and name not in there}


def columns_of(lake: Lake, table: Table) -> list[str]:
    """Names of a table's columns in their order, those of a struct dotted behind it."""
    import json

    opened = lake.open(table.uri)
    if opened is None:
        return []
    return list(_names(json.loads(opened.schema().to_json())["fields"], ""))


def _names(fields: list[dict[str, Any]], prefix: str) -> Iterator[str]:
    for field in fields:
        name, kind = prefix + field["name"], field["type"]
        yield name
        if isinstance(kind, dict) and kind["type"] == "struct":
            yield from _names(kind["fields"], f"{name}.")


def columns(ddl: str, prefix: str = "") -> Iterator[tuple[str, str]]:
    """(dotted name, type) of the columns of a DDL with quoted names, structs before their own."""
    for part in _split(ddl):
        name, kind = part[1:].split("`", 1)
        kind = kind.lstrip(": ")
        yield prefix + name, kind
        if kind.startswith("STRUCT<"):
            yield from columns(kind[len("STRUCT<") : -1], f"{prefix}{name}.")


def _split(ddl: str) -> Iterator[str]:
    depth, start = 0, 0
    for place, letter in enumerate(ddl):
        depth += {"<": 1, "(": 1, ">": -1, ")": -1}.get(letter, 0)
        if letter == "," and not depth:
            yield ddl[start:place].strip()
            start = place + 1
    if ddl[start:].strip():
        yield ddl[start:].strip()


def _quoted(name: str) -> str:
    return ".".join(f"`{part}`" for part in name.split("."))
