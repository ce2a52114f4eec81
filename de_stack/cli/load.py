"""`de-stack load DOMAIN FILE...`: a user's own day files into bronze.

Belongs here: arguments, progress, printing. Does not belong here: reading and writing
(`flow.load`), what is derived from them (the domain's sensor asks for it).
"""

from __future__ import annotations

import getpass
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from de_stack.contracts.day_files import DayFiles
    from de_stack.flow.load import Loaded
    from de_stack.settings import Settings

_DEFS = "de_stack.defs"
_MOST_SHOWN = 5


def load(
    domain: Annotated[str, typer.Argument(help="Whose day files they are, e.g. tweets.")],
    files: Annotated[
        list[Path] | None, typer.Argument(help="CSV files with their day in the name.")
    ] = None,
    sample: Annotated[bool, typer.Option("--sample", help="The files that come along.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One object per file.")] = False,
) -> None:
    """Load day files, each as a whole: the same content adds nothing, a changed file replaces.

    Rows against the contract are kept with the reason and counted. Days that a load touches or
    reaches become pending; the domain's sensor derives and publishes them.
    """
    from de_stack.contracts.day_files import load_day_files
    from de_stack.failures import PermanentFailure
    from de_stack.flow.file_days import day_of
    from de_stack.flow.load import load as bring
    from de_stack.settings import Settings

    contract, settings = load_day_files(domain), Settings()
    paths = [*(_sample(domain) if sample else []), *(files or [])]
    if not paths:
        fix = f"`de-stack load {domain} FILE...`, or --sample"
        raise PermanentFailure(f"load {domain}", "no file was named", fix)
    for path in paths:  # Before the first is loaded: most typing errors show here.
        day_of(path)
        if not path.is_file():
            raise PermanentFailure(f"read {path}", "no such file", "name a CSV file")
    reached, by = _reached(domain), f"load by {getpass.getuser()}"
    done: list[Loaded] = []
    try:
        for path in paths:
            with _progress(path) as told:
                one = bring(settings, contract, path, reached, by, datetime.now(UTC), told)
            typer.echo(json.dumps(asdict(one)) if as_json else _said(one))
            done += [one] if one.days else []
    except BaseException:
        if done:
            _tell_dagster(settings, contract, done)
        raise
    _tell_dagster(settings, contract, done)


def _sample(domain: str) -> list[Path]:
    from de_stack.contracts.load import DEFS
    from de_stack.failures import PermanentFailure

    found = sorted((DEFS / domain / "sample").glob("*.csv"))
    if not found:
        raise PermanentFailure(f"load the sample of {domain}", "it has none", "name files")
    return found


def _reached(domain: str) -> str | None:
    """The domain's rule for later days that a load reaches; without one there are none."""
    name = f"{_DEFS}.{domain}.core.reach"
    return import_module(name).REACHED if find_spec(name) else None


@contextmanager
def _progress(path: Path) -> Iterator[Callable[[int, int], None]]:
    """A bar on a terminal; silence elsewhere."""
    if not sys.stderr.isatty():
        yield lambda _bytes, _rows: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn

    columns = TextColumn("{task.description}"), BarColumn(), DownloadColumn()
    rest = TextColumn("{task.fields[rows]:,} rows"), TimeRemainingColumn()
    with Progress(*columns, *rest, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(path.name, total=path.stat().st_size, rows=0)
        yield lambda done, rows: bar.update(task, completed=done, rows=rows)


def _said(done: Loaded) -> str:
    bad = sum(done.bad.values())
    if done.outcome == "unchanged":
        where = f", as {done.same_as}" if done.same_as else ""
        return f"{done.file}: unchanged, loaded before{where} ({done.rows:,} rows, {bad:,} bad)"
    parts = [f"{done.outcome} {done.rows:,} rows", f"{bad:,} bad"]
    if done.bad:
        most = sorted(done.bad.items(), key=lambda item: -item[1])
        named = ", ".join(f"{code} {n:,}" for code, n in most[:_MOST_SHOWN])
        more = ", ..." if len(most) > _MOST_SHOWN else ""
        parts[-1] += f" ({named}{more})"
    if done.replaced:
        parts.append(f"{done.replaced:,} old rows gone")
    if other := {day: n for day, n in done.days.items() if day != done.day}:
        parts.append(f"{sum(other.values()):,} of another day: {_named(list(other))}")
    if done.reached:
        parts.append(f"reaches {_named(done.reached)}")
    if done.ignored_columns:
        parts.append(f"ignored columns: {', '.join(done.ignored_columns)}")
    return f"{done.file}: {'; '.join(parts)}"


def _named(days: list[str]) -> str:
    more = f" and {len(days) - _MOST_SHOWN} more days" if len(days) > _MOST_SHOWN else ""
    return ", ".join(days[:_MOST_SHOWN]) + more


def _tell_dagster(settings: Settings, contract: DayFiles, done: list[Loaded]) -> None:
    """Report days to Dagster, where there is one: its graph shows what bronze has.

    Days that a killed load has not told are told by the next one.
    """
    if not (home := _dagster_home(settings)):
        return
    os.environ["DAGSTER_HOME"] = home
    import dagster as dg
    from sqlalchemy.exc import SQLAlchemyError

    from de_stack import naming, partitions
    from de_stack.failures import TransientFailure
    from de_stack.flow.day_files import bronze
    from de_stack.flow.ledger import Ledger

    key = dg.AssetKey(naming.asset_key(contract.domain, "bronze", contract.entity))
    days = Ledger(settings).touched_hours(bronze(settings, contract).table_id, None, None)
    files: dict[str, list[str]] = {partitions.key(day, contract.grain): [] for day in days}
    for one in done:
        for day in one.days:
            files[day].append(one.file)
    try:
        with dg.DagsterInstance.get() as instance:
            known = instance.get_materialized_partitions(key)
            for day, names in files.items():
                if names or day not in known:
                    said = {"files": dg.MetadataValue.json(names)}
                    event = dg.AssetMaterialization(key, partition=day, metadata=said)
                    instance.report_runless_asset_event(event)
    except SQLAlchemyError as error:
        fix = "the files are loaded; the next load tells it"
        raise TransientFailure("tell Dagster what is loaded", str(error), fix) from error


def _dagster_home(settings: Settings) -> str | None:
    if settings.profile == "external":
        return os.environ.get("DAGSTER_HOME")
    home = settings.home / "dagster"
    return str(home) if (home / "dagster.yaml").is_file() else None


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(load)
