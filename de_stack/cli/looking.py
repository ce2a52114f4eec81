"""`de-stack status | logs | env`: looking at the local services without changing them.

Belongs here: tables, JSON, exit codes. Does not belong here: gathering (`local/status.py`).
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from de_stack.local.status import Row


def _age(seconds: int | None) -> str:
    if seconds is None:
        return "-"
    hours, rest = divmod(seconds, 3600)
    return f"{hours}h{rest // 60:02}m" if hours else f"{rest // 60}m{rest % 60:02}s"


def status(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """State, pid, port, uptime, memory; exit code 1 when something that should run does not.

    In profile external the systems are somebody else's: their addresses, without passwords.
    """
    from de_stack.local.exports import shown
    from de_stack.local.status import rows
    from de_stack.setting_sources import default_home
    from de_stack.settings import Settings

    settings, home = Settings(), default_home()
    found = rows(home) if settings.profile == "embedded" else []
    if as_json:
        known = {"profile": settings.profile, "home": str(home), "addresses": shown(settings)}
        typer.echo(json.dumps(known | {"services": [asdict(row) for row in found]}, indent=2))
    elif settings.profile == "embedded":
        _print_services(home, found)
    else:
        typer.echo("profile external: the systems are somebody else's, nothing is started here")
        for name, address in shown(settings).items():
            typer.echo(f"{name}: {address}")
    if any(row.is_wrong for row in found):
        raise typer.Exit(1)


def _print_services(home: Path, found: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table("service", "state", "pid", "port", "uptime", title=f"home {home}")
    table.add_column("PSS MB", justify="right")
    table.add_column("RSS MB", justify="right")
    for row in found:
        word = f"[red]{row.state}, should run[/red]" if row.is_wrong else row.state
        memory = [f"{size / 1e6:.0f}" if size else "-" for size in (row.pss_bytes, row.rss_bytes)]
        port = ", ".join(map(str, row.ports.values())) or "-"
        table.add_row(row.name, word, str(row.pid or "-"), port, _age(row.uptime_seconds), *memory)
    total = [f"{sum(getattr(r, k) for r in found) / 1e6:.0f}" for k in ("pss_bytes", "rss_bytes")]
    table.add_section()
    table.add_row("all", "", "", "", "", *total)
    Console(width=None if typer.get_text_stream("stdout").isatty() else 110).print(table)


def logs(
    name: Annotated[str, typer.Argument(help="Service, or `supervisord`.")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="Go on as it grows.")] = False,
    count: Annotated[int, typer.Option("-n", "--lines", min=1, help="How many lines.")] = 50,
) -> None:
    """The last lines of a service's log."""
    from de_stack.failures import PermanentFailure
    from de_stack.local.registry import check
    from de_stack.local.stack import embedded_home
    from de_stack.local.starting import tail

    if name != "supervisord":
        check([name])
    path = embedded_home() / "logs" / f"{name}.log"
    if not path.exists():
        raise PermanentFailure(f"read {path}", "there is none", f"run `de-stack up {name}`")
    size = path.stat().st_size
    if text := tail(path, count):
        typer.echo(text)
    while follow:
        if not path.exists() or path.stat().st_size < size:
            size = 0  # It was rotated.
        if path.exists() and path.stat().st_size > size:
            with path.open("rb") as file:
                file.seek(size)
                grown = file.read()
            size += len(grown)
            typer.echo(grown.decode(errors="replace"), nl=False)
        time.sleep(0.2)


def env() -> None:
    """`export` lines for a shell: `eval "$(de-stack env)"`."""
    from de_stack.failures import PermanentFailure
    from de_stack.local.exports import lines, variables
    from de_stack.setting_sources import default_home, read_state
    from de_stack.settings import Settings

    settings, home = Settings(), default_home()
    values = {"DE_STACK_NAMESPACE": settings.namespace} if settings.namespace else {}
    if settings.profile == "embedded":
        if not (known := read_state(home).get("settings")):
            raise PermanentFailure(f"read the addresses in {home}", "none yet", "run `de-stack up`")
        values = variables(home, known) | values
    else:
        typer.echo("profile external: the addresses are those of this environment", err=True)
    for line in lines(values):
        typer.echo(line)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (status, logs, env):
        app.command()(command)
