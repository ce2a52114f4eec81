"""`de-stack init`: make what the pipeline needs inside systems that are already there.

Belongs here: the command. Does not belong here: making topics (`resources`), tables (`flow`).
"""

from __future__ import annotations

import typer


def init() -> None:
    """Make the topics of all contracts as these have them, and the ledger's tables.

    `up` does this by itself; with profile external it is the first command to type.
    """
    from de_stack.flow.ledger_schema import ensure_schema
    from de_stack.resources.kafka import ensure_topics
    from de_stack.settings import Settings

    settings = Settings()
    for line in ensure_topics(settings) or ["topics: all are as the contracts have them"]:
        typer.echo(line)
    ensure_schema(settings)
    typer.echo("ledger: ready")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(init)
