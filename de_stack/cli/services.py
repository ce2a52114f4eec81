"""`de-stack up | down | restart`: the life of the local services.

Belongs here: what these commands print. Does not belong here: starting anything
(`local/stack.py`).
"""

from __future__ import annotations

import time
from typing import Annotated

import typer

Names = Annotated[list[str] | None, typer.Argument(help="Services; all when none is named.")]


def _say(line: str) -> None:
    typer.echo(line)


def _summary(took: dict[str, float], began: float) -> None:
    if took:
        typer.echo(f"up in {time.monotonic() - began:.1f} s")
    else:
        typer.echo("everything runs already")


def up(names: Names = None) -> None:
    """Start services and what they depend on; heal what was killed."""
    from de_stack.local import stack

    began = time.monotonic()
    _summary(stack.up(names or (), _say), began)


def down(
    purge: Annotated[bool, typer.Option("--purge", help="Remove all data, too.")] = False,
) -> None:
    """Stop everything and make sure that nothing is left."""
    from de_stack.local import stack

    stack.down(_say, purge=purge)
    typer.echo("down")


def restart(names: Annotated[list[str], typer.Argument(help="Services.")]) -> None:
    """Stop services and start them again."""
    from de_stack.local import stack

    began = time.monotonic()
    _summary(stack.restart(names, _say), began)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (up, down, restart):
        app.command()(command)
