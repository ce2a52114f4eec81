"""`de-stack jars | setup | doctor`: what the machine needs beside Python packages.

Belongs here: progress and output. Does not belong here: the fetch (`local/jars.py`), the checks
(`local/doctor.py`).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer


def jars(
    verify: Annotated[bool, typer.Option("--verify", help="Only check what is there.")] = False,
) -> None:
    """Fetch the jars of Kafka and Spark, once per user, and check them against the lock."""
    from de_stack.failures import PermanentFailure
    from de_stack.local import jars as store

    missing, wrong = store.verify(store.locked())
    if verify and (bad := wrong + missing):
        names = "\n  ".join(
            f"{jar.coordinate}: {'content differs from the lock' if jar in wrong else 'missing'}"
            for jar in bad
        )
        raise PermanentFailure(
            f"verify the jars in {store.cache()}", names, "run `de-stack jars`", page="jars"
        )
    if todo := missing + wrong:
        _fetch(len(todo))
    count = len(store.locked())
    size = sum(jar.path.stat().st_size for jar in store.locked()) / 1e6
    typer.echo(f"{count} jars, {size:.0f} MB, verified, in {store.cache()}")


def _fetch(count: int) -> None:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from de_stack.local import jars as store
    from de_stack.local import java

    found = java.find()
    if found.note:
        typer.echo(found.note)
    columns = (TextColumn("jars"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.description}")) as progress:
        task = progress.add_task("asking the registry", total=count)

        def arrived(jar: store.Jar) -> None:
            progress.update(task, advance=1, description=jar.file_name)

        store.fetch(found.executable, arrived)
        progress.update(task, completed=count, description="")


def setup() -> None:
    """Make everything that pip does not bring: jars, dbt's sources and its manifest."""
    jars(verify=False)
    from de_stack.resources import dbt
    from de_stack.settings import Settings

    typer.echo(f"dbt manifest: {dbt.prepare(Settings())}")


def doctor(as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """Check machine, versions, jars, ports, environment; exit code 1 if a check fails."""
    from de_stack.local.doctor import examine
    from de_stack.setting_sources import default_home

    found = examine(default_home())
    if as_json:
        typer.echo(json.dumps([asdict(finding) for finding in found], indent=2))
    else:
        for finding in found:
            typer.echo(f"{'ok   ' if finding.is_ok else 'WRONG'}  {finding.check}: {finding.seen}")
            if not finding.is_ok:
                typer.echo(f"       fix: {finding.fix}")
    if not all(finding.is_ok for finding in found):
        raise typer.Exit(1)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (jars, setup, doctor):
        app.command()(command)
