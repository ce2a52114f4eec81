"""`de-stack new ci`: a workflow for the repository on GitHub.

Belongs here: where it is written, printing. Does not belong here: what stands in it
(`scaffold.workflow`). The command is registered by `new.py`, with its group.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def ci(
    to: Annotated[
        Path | None,
        typer.Option(help="File; .github/workflows/de_stack.yml without it.", show_default=False),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace another file.")] = False,
    only_print: Annotated[bool, typer.Option("--print", help="Write nothing.")] = False,
) -> None:
    """Write a GitHub workflow that materializes what a pull request changes.

    The same again changes nothing; a file that differs is not replaced without --force.
    """
    from de_stack.cli.git import top
    from de_stack.scaffold.workflow import PLACE, workflow, write

    root = Path(__file__).resolve().parents[2]
    repository = top(root) or root
    text = workflow(root.relative_to(repository.resolve()))
    if only_print:
        typer.echo(text, nl=False)
        return
    path = to or repository / PLACE
    typer.echo(f"wrote {path}" if write(path, text, force) else f"{path} is so already")
    typer.echo("\nThe same on this machine: `de-stack up postgres kafka spark`, then")
    typer.echo("  de-stack changed --since origin/main --run")
