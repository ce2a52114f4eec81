"""`de-stack offsets show | accept-gap | accept-topic`: where landing stands, what is lost for good.

Belongs here: printing, asking. Does not belong here: what follows from an answer (`flow.offsets`).
"""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from de_stack.flow.offsets import Standing

Name = Annotated[str, typer.Argument(help="domain.entity")]
Reason = Annotated[str, typer.Option(help="Why; kept with the decision.", prompt="Reason")]
_DEFAULT = "telemetry.measures"


def show(
    stream: Name = _DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Per partition: what Kafka has, what landed, what waits, what was deleted before it landed."""
    from de_stack.contracts import load_stream
    from de_stack.flow.offsets import standing
    from de_stack.settings import Settings

    found = standing(Settings(), load_stream(stream))
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        _print(found)
    if not found.is_accepted or any(p.missing for p in found.partitions):
        raise typer.Exit(1)


def accept_gap(reason: Reason, stream: Name = _DEFAULT) -> None:
    """Accept that offsets which Kafka deleted before they landed are lost; landing goes on."""
    from de_stack.contracts import load_stream
    from de_stack.flow.offsets import accept_gaps
    from de_stack.settings import Settings

    gaps = accept_gaps(Settings(), load_stream(stream), reason, getpass.getuser())
    for gap in gaps:
        typer.echo(f"lost: partition {gap.partition} offsets {gap.first}..{gap.last}")
    if not gaps:
        typer.echo("nothing is missing")


def accept_topic(reason: Reason, stream: Name = _DEFAULT) -> None:
    """Go on with a topic that was deleted and made anew; what it holds lands from its beginning."""
    from de_stack.contracts import load_stream
    from de_stack.flow.offsets import accept_topic as accept
    from de_stack.settings import Settings

    ids = accept(Settings(), load_stream(stream), reason, getpass.getuser())
    typer.echo(f"topic {ids[1]} follows {ids[0]}" if ids else "the topic is the one that landed")


def _print(found: Standing) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=f"topic {found.topic} ({found.topic_id})")
    for column in ("partition", "begin", "landed", "end", "waiting"):
        table.add_column(column, justify="right")
    table.add_column("deleted before it landed")
    for p in found.partitions:
        words = [f"[red]{g.first}..{g.last}[/red]" for g in p.missing]
        words += [f"{g.first}..{g.last} accepted" for g in p.lost]
        numbers = (p.partition, p.begin, p.landed, p.end, p.waiting)
        table.add_row(*map(str, numbers), ", ".join(words) or "-")
    console = Console()
    console.print(table)
    if not found.is_accepted:
        console.print(
            f"what landed came from another topic of this name ({found.landed_topic_id}): "
            "`de-stack offsets accept-topic`",
            style="red",
        )
    if any(p.missing for p in found.partitions):
        console.print("if they are lost for good: `de-stack offsets accept-gap`", style="red")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Where landing stands in a topic.", no_args_is_help=True)
    for command in (show, accept_gap, accept_topic):
        group.command()(command)
    app.add_typer(group, name="offsets")
