"""`de-stack ledger check | rebuild`: does the ledger say what the tables say, and made anew.

Belongs here: printing, asking, exit codes. Does not belong here: comparing and making (`flow`).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from de_stack.flow.ledger_check import Checked


def check(
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Hold each table's log and rows, and what Postgres holds, against the ledger; exit 1 if not.

    Changes nothing. A log that is ahead is in order: the next reader or writer enters its commits.
    """
    from de_stack.flow.ledger_check import check as checked
    from de_stack.settings import Settings

    found = checked(Settings())
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], indent=2))
    else:
        _print(found)
    if any(one.disagreements for one in found):
        raise typer.Exit(1)


def rebuild(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Make the ledger anew from the tables' logs and from Postgres; decisions stay.

    Afterwards the tables are right, whatever the ledger said: a log that was cut is believed.
    """
    from de_stack.flow.ledger_rebuild import rebuild as made_anew
    from de_stack.flow.ledger_schema import ensure_schema
    from de_stack.settings import Settings

    settings = Settings()
    if not yes:
        name = settings.namespace or "no namespace"
        typer.confirm(
            f"Replace the ledger's entries ({name}) by what the tables say now?", abort=True
        )
    ensure_schema(settings)
    for one in made_anew(settings):
        typer.echo(
            f"{one.table_id}: {one.commits} commits, {one.touched} touched and "
            f"{one.applied} used event hours"
        )


def _print(found: list[Checked]) -> None:
    from rich.console import Console
    from rich.table import Table

    console, table = Console(), Table(title="The ledger against what it is about")
    table.add_column("table")
    table.add_column("log ends at", justify="right")
    table.add_column("ledger", justify="right")
    table.add_column("")
    for one in found:
        versions = ("-" if v is None else str(v) for v in (one.log_version, one.ledger_version))
        word = f"[red]{len(one.disagreements)} disagree" if one.disagreements else "[green]agrees"
        table.add_row(one.name, *versions, word)
    console.print(table)
    for one in found:
        for text in one.disagreements:
            console.print(f"{one.name}: {text}", style="red", markup=False)
    for advice in _advice({text for one in found for text in one.disagreements}):
        console.print(advice, style="red", markup=False)


def _advice(texts: set[str]) -> list[str]:
    """What to type, for what was found only."""
    from de_stack.flow.table_check import NO_TABLE, UNREADABLE

    gone = {text for text in texts if NO_TABLE in text}
    cut = {text for text in texts if UNREADABLE in text}
    advice = []
    if gone:
        advice.append(
            "a table that is not there: mount its disk or bring its folder back; one that was "
            "derived from another: `de-stack rebuild`"
        )
    if cut:
        advice.append("a log that was cut off: `de-stack repair`")
    if texts - gone - cut:
        advice.append(
            "if the tables are right: `de-stack ledger rebuild`; a lost offset range: "
            "`de-stack offsets show`"
        )
    return advice


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The ledger of commits.", no_args_is_help=True)
    for command in (check, rebuild):
        group.command()(command)
    app.add_typer(group, name="ledger")
