"""A derived table that was lost as a whole, put back empty, with version numbers that go on.

Belongs here: the first commit of its new log. Does not belong here: bringing its rows back
(`derive.py` does, from the source), a table whose newest commit was cut off (`repair.py`).

Nothing counts from 0 again: whoever has used version 7 of the lost table would wait for version 8
of the new one. The new log begins with a checkpoint of an empty table one past what the ledger
knows. Delta's own clean-up leaves logs that begin so, too.

Only what a person has accepted as lost is made anew: a folder that is not there may be a disk that
is not mounted.
"""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.flow import commits
from de_stack.flow.decisions import Decisions
from de_stack.flow.ledger import Ledger
from de_stack.flow.tables import Table, create
from de_stack.resources.lake import Lake
from de_stack.resources.lake_log import commit_info

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from de_stack.settings import Settings

_LOG = "_delta_log"


def lost(settings: Settings, table_id: str, uri: str) -> int | None:
    """The newest version that the ledger knows of a table that is not there; None if all is well.

    Raises:
        Failure: the store or the ledger was away, or a log is there and cannot be read.
    """
    if Lake(settings).version(uri) is not None:
        return None
    known, _ = Ledger(settings).last_commit(table_id)
    return known if known >= 0 else None


def accept_loss(settings: Settings, table_id: str, version: int, reason: str, by: str) -> None:
    """Let the next run that derives the table make it anew."""
    Decisions(settings, table_id).enter("remake", [{"version": version}], reason, by)


def accepted_loss(settings: Settings, table: Table) -> int | None:
    """The last version of a table that is lost and may be made anew; None for all others."""
    version = lost(settings, table.table_id, table.uri)
    if version is None:
        return None
    decided = Decisions(settings, table.table_id).all
    accepted = any(d.kind == "remake" and d.details == {"version": version} for d in decided)
    return version if accepted else None


def remake(settings: Settings, spark: SparkSession, table: Table, last: int, run_id: str) -> None:
    """Put an empty table at version `last` + 1; all its event hours are pending then.

    May be called again when it was interrupted: the log appears in one rename.

    Raises:
        PermanentFailure: the lake is no folder.
        TransientFailure: somebody else made the table meanwhile.
    """
    tried = f"make {table.table_id} anew"
    if "://" in table.uri.removeprefix("file://"):
        raise PermanentFailure(
            tried, f"{table.uri} is in an object store", "bring it back there", page="object-store"
        )
    lake, place = Lake(settings), Path(table.uri.removeprefix("file://"))
    model = place.with_name(f"{place.name}.{uuid.uuid4().hex}")
    try:
        create(spark, lake, replace(table, uri=str(model)))
        empty = lake.open(str(model))
        assert empty is not None  # noqa: S101 - it was made a moment ago
        empty.create_checkpoint()
        log, new, version = model / _LOG, model / "new", last + 1
        new.mkdir()
        (log / f"{0:020d}.checkpoint.parquet").rename(new / f"{version:020d}.checkpoint.parquet")
        said = json.loads((log / "_last_checkpoint").read_bytes())
        (new / "_last_checkpoint").write_text(json.dumps(said | {"version": version}))
        _, metadata = commits.envelope("remake", run_id, lost=last)
        (new / f"{version:020d}.json").write_text(_commit(log, metadata))
        place.mkdir(parents=True, exist_ok=True)
        try:
            new.rename(place / _LOG)
        except OSError as error:
            raise TransientFailure(
                tried, f"somebody was first: {error}", page="another-writer"
            ) from error
    finally:
        shutil.rmtree(model, ignore_errors=True)
    commits.reconcile(lake, Ledger(settings), table)


def _commit(log: Path, metadata: str) -> str:
    """The actions that make the table, as a commit of ours."""
    lines = (log / f"{0:020d}.json").read_text().splitlines()
    made = [line for line in lines if {"protocol", "metaData"} & json.loads(line).keys()]
    return "".join(f"{line}\n" for line in [commit_info("REMAKE", metadata), *made])
