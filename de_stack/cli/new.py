"""`de-stack new stream`: a file of yours -> a stream of your own.

Belongs here: arguments, order of the steps, printing; the group `new`. Does not belong here:
drafting and writing (`scaffold`), a workflow (`new_ci.py`).
"""

from __future__ import annotations

import json
import re
import shlex
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from de_stack.cli.new_ci import ci
from de_stack.cli.replay import Delimiter, Encoding
from de_stack.failures import PermanentFailure

if TYPE_CHECKING:
    from de_stack.scaffold.draft import Draft
    from de_stack.scaffold.profile import Profile
    from de_stack.scaffold.write import Written

_OWNER = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,7}")

_TERMINATED = 143


def stream(
    name: Annotated[str, typer.Argument(help="domain.entity, e.g. weather.days")],
    from_: Annotated[Path, typer.Option("--from", help="A .csv (with a header) or .parquet.")],
    key: Annotated[
        str | None, typer.Option(help="Column of the entity; it becomes the message key.")
    ] = None,
    time: Annotated[str | None, typer.Option(help="Column of the event time.")] = None,
    time_format: Annotated[
        str | None, typer.Option(help="How it is spelled, e.g. %d/%m/%Y %H:%M.")
    ] = None,
    grain: Annotated[str | None, typer.Option(help="Partitions: hour, day or month.")] = None,
    owner: Annotated[str | None, typer.Option(help="E-mail address; default: git's.")] = None,
    delimiter: Delimiter = None,
    encoding: Encoding = None,
    into: Annotated[Path | None, typer.Option(help="Checkout to write into.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would be.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Write the three folders of a new stream, from a file that shows what its events look like.

    Nothing that is there is changed. What the file does not say is asked for, not guessed.
    """
    from de_stack import naming
    from de_stack.scaffold.check import graph
    from de_stack.scaffold.draft import Wishes, draft
    from de_stack.scaffold.profile import profile
    from de_stack.scaffold.tables import How
    from de_stack.scaffold.write import take_away, write

    tried = f"make stream {name}"
    try:
        domain, entity = naming.split_stream(name)
    except ValueError as error:
        raise PermanentFailure(tried, str(error)) from error
    if grain not in (None, "hour", "day", "month"):
        raise PermanentFailure(tried, f"--grain {grain!r}", "hour, day or month")
    root = (into or Path(__file__).resolve().parents[2]).resolve()
    found = profile(from_, How(delimiter, encoding), time_format)
    wishes = Wishes(key, time, time_format, grain)  # type: ignore[arg-type]
    drafted = draft(domain, entity, found, wishes, datetime.now(UTC))
    if dry_run:
        _say(drafted, found, None, root, as_json)
        return
    # Whoever ends it, by whatever signal, is left with what was there.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(_TERMINATED))
    written = write(root, drafted, found, owner or _gits_owner(domain))
    try:
        if not as_json:
            typer.echo("loading it: dbt's manifest, the code location ...", err=True)
        drawn = json.dumps(graph(root, domain), indent=2) + "\n"
        (written.folders[2] / "asset_graph.json").write_text(drawn, encoding="utf-8")
    except BaseException:
        take_away(written.folders)
        raise
    _say(drafted, found, written, root, as_json)


def _gits_owner(domain: str) -> str:
    try:
        done = subprocess.run(
            ["git", "config", "user.email"],  # noqa: S607 - the user's own git
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
        found = done.stdout.strip()
    except OSError:
        found = ""
    return found if _OWNER.fullmatch(found) else f"{domain.replace('_', '-')}@de-stack.example"


def _say(
    drafted: Draft, found: Profile, written: Written | None, root: Path, as_json: bool
) -> None:
    from de_stack.scaffold.write import replay_arguments

    name = f"{drafted.domain}.{drafted.entity}"
    file, rows = found.path, found.rows
    arguments = replay_arguments(drafted, file)
    arguments += ["--delimiter", found.how.delimiter] if found.how.delimiter else []
    arguments += ["--encoding", found.how.encoding] if found.how.encoding else []
    replay = shlex.join(["de-stack", "replay", name, str(file), *arguments, "--wait"])
    files = sorted(
        str(path.relative_to(root))
        for folder in (written.folders if written else ())
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.name != "_sources.yml"
    )
    if as_json:
        told: dict[str, Any] = {
            "stream": name,
            "rows": rows,
            "key": drafted.key,
            "event_time": drafted.time,
            "time_format": drafted.time_format,
            "grain": drafted.grain,
            "history_start": drafted.history_start.isoformat(),
            "fields": {f.name: [f.type, f.required, f.column] for f in drafted.fields},
            "skipped": dict(drafted.skipped),
            "notes": list(drafted.notes),
            "files": files,
            "replay": replay,
        }
        typer.echo(json.dumps(told))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("field", "type", "", "column", title=f"{name}, from {rows:,} rows")
    for field in drafted.fields:
        role = "key" if field.name == drafted.key else ""
        role = "event time" if field.name == drafted.time else role
        note = role or ("" if field.required else "may be missing")
        table.add_row(field.name, field.type, note, field.column or "(a constant: --set)")
    console = Console()
    console.print(table)
    typer.echo(f"partitions: by {drafted.grain}, since {drafted.history_start:%Y-%m-%d}")
    for column, why in drafted.skipped:
        typer.echo(f"left out: {column}: {why}")
    for note in drafted.notes:
        typer.echo(f"MIND: {note}")
    if written is None:
        typer.echo("nothing was written (--dry-run)")
        return
    for path in files:
        typer.echo(f"wrote {path}")
    typer.echo(
        "\nNext: read the contract, then\n"
        "  de-stack up        # makes the topic; Dagster sees the new assets\n"
        f"  {replay}\n"
        f"  de-stack counts {name}\n"
        f"  make test ARGS={written.folders[2].relative_to(root)}"
    )


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Begin something of your own.", no_args_is_help=True)
    group.callback()(lambda: None)
    group.command()(stream)
    group.command()(ci)
    app.add_typer(group, name="new")
