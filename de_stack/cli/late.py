"""`de-stack late list | release`: late rows, and hours that are held for being too old.

Belongs here: printing, reading hours, asking. Does not belong here: what is late or held (`flow`).
"""

from __future__ import annotations

import getpass
import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from de_stack.flow.late import LateHour

Name = Annotated[str, typer.Argument(help="domain.entity")]
_DEFAULT = "telemetry.measures"
_COLOURS = {"held": "red", "pending": "yellow", "done": "green"}


def list_hours(
    stream: Name = _DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
    held: Annotated[bool, typer.Option("--held", help="Only hours that are held.")] = False,
) -> None:
    """Event hours with late rows: how many, how late at most, and whether silver has them."""
    from de_stack.contracts import load_stream
    from de_stack.flow.late import late_hours
    from de_stack.settings import Settings

    contract = load_stream(stream)
    found = [h for h in late_hours(Settings(), contract) if not held or h.state == "held"]
    rows = [_row(hour, contract.grain) for hour in found]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print(stream, rows)


def release(
    reason: Annotated[str, typer.Option(help="Why; kept with the decision.", prompt="Reason")],
    stream: Name = _DEFAULT,
    hour: Annotated[
        list[str] | None, typer.Option("--hour", help="As `late list` writes it; may be repeated.")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every held hour.")] = False,
) -> None:
    """Compute held hours again: the next tick refines and publishes them with their late rows."""
    from de_stack.contracts import load_stream
    from de_stack.flow.late import release as let_go
    from de_stack.settings import Settings

    if bool(hour) == everything:
        raise typer.BadParameter("give either --hour, once or more, or --all")  # noqa: TRY003
    contract = load_stream(stream)
    hours = None if everything else [_start(text, contract.grain) for text in hour or []]
    released = let_go(Settings(), contract, hours, reason, getpass.getuser())
    typer.echo(f"released {len(released)} hours" if released else "no hour is held")


def _start(text: str, grain: str) -> datetime:
    from de_stack import partitions

    try:
        return partitions.start(text, grain)
    except ValueError:
        pass  # then it is ISO-8601, or nothing
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        example = partitions.key(datetime(2026, 11, 21, 13, tzinfo=UTC), grain)
        raise typer.BadParameter(f"{text!r} is no {grain}: write {example}") from error  # noqa: TRY003
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _row(hour: LateHour, grain: str) -> dict[str, Any]:
    from de_stack import partitions

    return {
        "event_hour": partitions.key(hour.event_hour, grain),
        "rows": hour.rows,
        "late_rows": hour.late_rows,
        "most_late_s": hour.most_late_s,
        "touched_at": hour.touched_at.isoformat() if hour.touched_at else None,
        "state": hour.state,
    }


def _print(stream: str, rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not rows:
        console.print("no late rows")
        return
    table = Table(title=f"late rows of {stream}, by event hour (UTC)")
    table.add_column("event hour")
    for column in ("rows", "late", "at most late by"):
        table.add_column(column, justify="right")
    table.add_column("landed")
    table.add_column("state")
    for row in rows:
        most = row["most_late_s"]
        table.add_row(
            row["event_hour"],
            f"{row['rows']:,}",
            f"{row['late_rows']:,}",
            "-" if most is None else str(timedelta(seconds=most)),
            (row["touched_at"] or "-")[:19],
            f"[{_COLOURS[row['state']]}]{row['state']}",
        )
    console.print(table)
    if any(row["state"] == "held" for row in rows):
        console.print(
            f"held: older than the contract's lookBack; `de-stack late release {stream}`",
            style="red",
        )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Late rows and held hours.", no_args_is_help=True)
    group.command("list")(list_hours)
    group.command()(release)
    app.add_typer(group, name="late")
