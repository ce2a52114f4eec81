"""`de-stack jars`: what the machine needs beside Python packages.

Belongs here: progress and output. Does not belong here: the fetch (`local/jars.py`).
"""

from __future__ import annotations

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
            f"{jar.coordinate}: {'content differs' if jar in wrong else 'missing'}" for jar in bad
        )
        raise PermanentFailure(f"verify the jars in {store.cache()}", names, "run `de-stack jars`")
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
        store.fetch(
            found.executable, lambda jar: progress.update(task, advance=1, description=jar.file_name)
        )
        progress.update(task, completed=count, description="")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(jars)
