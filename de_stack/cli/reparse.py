"""`de-stack reparse`: decode bronze again after a contract was mended.

Belongs here: printing, the range. Does not belong here: decoding and writing (`flow.reparse`).
"""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

_HOUR = "Ingest hour, e.g. 2026-11-21T13:00, UTC."


def reparse(
    stream: Annotated[str, typer.Argument(help="domain.entity")] = "telemetry.measures",
    first: Annotated[datetime | None, typer.Option("--from", help=f"First. {_HOUR}")] = None,
    last: Annotated[datetime | None, typer.Option("--to", help=f"Last, included. {_HOUR}")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count, write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One object per ingest day.")] = False,
) -> None:
    """Derive bronze's typed columns from the raw messages with the contract as it is now.

    One commit per ingest day; event hours that lost or got rows become pending. Meanwhile nobody
    else reparses or sends letters again: whoever comes second is told who is at it.
    """
    from de_stack.contracts import load_stream
    from de_stack.flow.reparse import reparse as again
    from de_stack.orchestration.session import LastingSession
    from de_stack.settings import Settings

    settings = Settings()
    spark = LastingSession(settings)
    by, contract = f"reparse by {getpass.getuser()}", load_stream(stream)
    days = again(
        settings, contract, lambda: spark.spark_session, by, _utc(first), _utc(last), dry_run
    )
    for day in days:
        if as_json:
            typer.echo(json.dumps(asdict(day), default=str))
            continue
        wrote = "nothing to write" if not day.changed else f"version {day.version}"
        typer.echo(
            f"{day.day}: {day.rows} rows, {day.changed} come out otherwise: {day.mended} mended, "
            f"{day.refused} refused now; {day.hours} event hours; "
            f"{'nothing written' if dry_run else wrote}"
        )


def _utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment and moment.tzinfo is None else moment


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(reparse)
