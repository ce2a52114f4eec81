"""`de-stack stream list | start | stop | status`: continuous queries.

Belongs here: printing, saying what is wanted and waiting for it. Does not belong here: running
queries (`streaming`), starting their host (`local/stack.py`).
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from de_stack.failures import PermanentFailure, TransientFailure

if TYPE_CHECKING:
    from de_stack.settings import Settings

Name = Annotated[str, typer.Argument(help="domain.query; `de-stack stream list` has all.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
Timeout = Annotated[float, typer.Option(min=1, help="Seconds to wait for it.")]
_COLOURS = {"running": "green", "retrying": "yellow", "failed": "red", "stopped": "dim"}


def list_queries(as_json: Json = False) -> None:
    """All continuous queries: from which topic, to what, how it gives results, and how it is."""
    from de_stack.settings import Settings
    from de_stack.streaming.queries import load_queries

    settings = Settings()
    told = _told(settings)
    rows = [
        {
            "query": name,
            "topic": settings.names.topic(*query.reads.topic),
            "sink": query.sink.target(settings),
            "mode": query.mode,
            "state": told.get(name, {}).get("state", "stopped"),
            "description": query.description,
        }
        for name, query in load_queries().items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table

    table = Table("query", "reads", "writes", "mode", "state")
    for row in rows:
        state = f"[{_COLOURS[row['state']]}]{row['state']}[/]"
        table.add_row(row["query"], row["topic"], row["sink"], row["mode"], state)
    _console().print(table)


def start(
    name: Name,
    anew: Annotated[
        bool,
        typer.Option("--anew", help="From the oldest message; the old checkpoint is moved away."),
    ] = False,
    timeout: Timeout = 120,
) -> None:
    """Run a query from its checkpoint, and go on running it."""
    from de_stack.settings import Settings
    from de_stack.streaming.queries import load_query
    from de_stack.streaming.wanted import Wanted

    query, settings = load_query(name), Settings()
    _host(settings, name)
    wanted = Wanted(settings.home)
    state = _told(settings).get(name, {}).get("state", "stopped")
    if anew or state == "failed":
        # What has failed for good is looked at again when it is wanted anew.
        wanted.say(name, on=False)
        _wait(settings, name, {"stopped"}, timeout)
    wanted.say(name, on=True, anew=anew)
    _wait(settings, name, {"running"}, timeout)
    typer.echo(f"{name}: running, {query.mode} to {query.sink.target(settings)}")


def stop(name: Name, timeout: Timeout = 120) -> None:
    """Stop a query; it goes on from there when it is started again."""
    from de_stack.settings import Settings
    from de_stack.streaming.queries import load_query
    from de_stack.streaming.wanted import Wanted

    load_query(name)
    settings = Settings()
    Wanted(settings.home).say(name, on=False)
    if name in _told(settings):
        _wait(settings, name, {"stopped"}, timeout)
    typer.echo(f"{name}: stopped")


def status(
    name: Annotated[str | None, typer.Argument(help="domain.query; all without it.")] = None,
    as_json: Json = False,
) -> None:
    """How the queries are: batch, rows, watermark, state, lag. Exit code 1 if one is not well."""
    from de_stack.settings import Settings
    from de_stack.streaming.queries import load_queries, load_query
    from de_stack.streaming.wanted import Wanted

    settings = Settings()
    queries = {name: load_query(name)} if name else load_queries()
    wanted = Wanted(settings.home).names(queries)
    told = _told(settings)
    rows = [
        {"query": n, "wanted": n in wanted, "state": "stopped", "error": "", **told.get(n, {})}
        for n in queries
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
    else:
        _print(rows)
    if any(row["wanted"] and row["state"] != "running" for row in rows):
        raise typer.Exit(1)


def _print(rows: list[dict[str, Any]]) -> None:
    from rich.table import Table

    table = Table("query", "state", title="continuous queries")
    for column in ("batch", "rows", "ms", "lag", "state rows", "restarts"):
        table.add_column(column, justify="right")
    table.add_column("watermark")
    for row in rows:
        numbers = ("batch_id", "input_rows", "duration_ms", "lag_rows", "state_rows", "restarts")
        cells = [f"{row[n]:,}" if row.get(n) is not None else "-" for n in numbers]
        watermark = (row.get("watermark") or "-")[:19]
        state = f"[{_COLOURS[row['state']]}]{row['state']}[/]"
        table.add_row(row["query"], state, *cells, watermark)
    console = _console()
    console.print(table)
    for row in rows:
        if row["error"]:
            console.print(f"{row['query']}: {row['error']}", markup=False, highlight=False)
        elif row["wanted"] and row["state"] == "stopped":
            console.print(f"{row['query']}: wanted, and its host does not run: de-stack up streams")


def _console() -> Any:
    from rich.console import Console

    return Console(width=None if typer.get_text_stream("stdout").isatty() else 140)


def _told(settings: Settings) -> dict[str, dict[str, Any]]:
    """What hosts say of the queries; nothing where none lives."""
    from de_stack.streaming.statuses import Statuses

    return Statuses(settings.home).all()


def _host(settings: Settings, name: str) -> None:
    if name not in _told(settings):
        fix = (
            "`de-stack up streams`"
            if settings.profile == "embedded"
            else (f"`python -m de_stack.streaming run`, or for it alone `... run {name}`")
        )
        raise PermanentFailure(
            f"start query {name}", "the host of queries does not run", fix, page="stream-query"
        )


def _wait(settings: Settings, name: str, states: set[str], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while True:
        told = _told(settings).get(name, {})
        if told.get("state") in states:
            return
        if told.get("state") == "failed" and "running" in states:
            raise PermanentFailure(f"start query {name}", told["error"], page="stream-query")
        if time.monotonic() > deadline:
            got = told.get("error") or f"still {told.get('state', 'no word from its host')}"
            raise TransientFailure(
                f"wait until query {name} is {' or '.join(states)}",
                got,
                "`de-stack logs streams`",
                page="stream-query",
            )
        time.sleep(0.2)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Continuous queries: averages while trades come in.", no_args_is_help=True
    )
    group.command("list")(list_queries)
    for command in (start, stop, status):
        group.command()(command)
    app.add_typer(group, name="stream")
