"""`de-stack acknowledge`: a stream that a permanent failure has blocked may go on.

Belongs here: asking, printing. Does not belong here: what is blocked (`orchestration.blocks`).
"""

from __future__ import annotations

import getpass
import os
from typing import Annotated

import typer


def acknowledge(
    stream: Annotated[str, typer.Argument(help="domain.entity")],
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.", prompt="Reason")],
    step: Annotated[
        str | None,
        typer.Option(help="land, derive, dead or mart; all that are blocked without it."),
    ] = None,
) -> None:
    """Let a stream go on after a failure that a retry could not help, when its cause is gone."""
    # Dagster's home is ours where the stack is; elsewhere the environment says where it is.
    from de_stack.failures import PermanentFailure
    from de_stack.settings import Settings

    settings = Settings()
    if settings.profile == "embedded":
        os.environ["DAGSTER_HOME"] = str(settings.home / "dagster")
    elif not os.environ.get("DAGSTER_HOME"):
        raise PermanentFailure(
            "find Dagster's runs", "DAGSTER_HOME is not set", "set it", page="settings"
        )
    import dagster as dg

    from de_stack.orchestration.blocks import acknowledge as enter

    with dg.DagsterInstance.get() as instance:
        found = enter(instance, settings, stream, step, reason, getpass.getuser())
    for name, run_id, failure in found:
        typer.echo(f"{stream} {name} may go on after run {run_id}: {failure}")
    if not found:
        typer.echo("nothing is blocked")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(acknowledge)
