"""`de-stack repair TABLE`: a Delta table whose newest commits were cut off, usable again.

Belongs here: finding the table by its name, printing. Does not belong here: the repair
(`flow.repair`).
"""

from __future__ import annotations

import uuid
from typing import Annotated

import typer


def repair(
    table: Annotated[
        str, typer.Argument(help="domain/layer_entity, e.g. telemetry/bronze_measures")
    ],
) -> None:
    """Put empty commits in the place of those cut off; their rows land or derive again."""
    from de_stack.contracts.day_files import load_all_day_files
    from de_stack.failures import PermanentFailure
    from de_stack.flow.entered import loaded_files
    from de_stack.flow.repair import repair as mend
    from de_stack.flow.repair import table_named
    from de_stack.local import stack
    from de_stack.local.status import rows
    from de_stack.settings import Settings

    settings = Settings()
    domain, slash, name = table.partition("/")
    if not slash or "_" not in name:
        raise PermanentFailure("find the table", f"{table!r} is no name", "domain/layer_entity")
    found = table_named(settings, domain, name)
    loaded = loaded_files(settings, found.table_id)
    done = mend(settings, found, f"repair-{uuid.uuid4().hex[:8]}")
    if done is None:
        typer.echo(f"{table}: its newest commits are whole, nothing was changed")
        return
    left = loaded_files(settings, found.table_id)
    gone = sorted(file for file in loaded if loaded[file] != left.get(file))
    # The next landing brings what Kafka still has, and names what it has not.
    after = "filled again by the next landing" if name.startswith("bronze_") else "pending again"
    is_files = name.startswith("bronze_") and domain in load_all_day_files()
    if is_files:
        after = "as they were before the loads that are lost"
    which = f"version {done.first}"
    if done.last > done.first:
        which = f"versions {done.first} to {done.last}"
    typer.echo(
        f"{table}: emptied from the commit on that was cut off: {which}; "
        f"{done.hours} event hours are {after}"
    )
    if is_files:
        # A load that was cut off before the ledger saw it has no name there.
        known = f": {', '.join(gone)}" if gone else ""
        typer.echo(f"`de-stack load {domain}` again what you loaded last{known}")
    if settings.profile != "embedded":
        typer.echo("restart Spark before the next run: it may remember the commit as it was")
    elif any(r.name == "spark" and r.pid for r in rows(settings.home)):
        typer.echo("restarting Spark: it may remember the commit as it was")
        stack.restart(["spark"])


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(repair)
