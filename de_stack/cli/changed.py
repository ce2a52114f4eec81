"""`de-stack changed --since REF`: the assets that a branch changes; with `--run`, materialized.

Belongs here: arguments, the order of things, printing what is changed. Does not belong here: asking
git (`git.py`), which file reaches which assets (`orchestration.changes`), runs (`changed_run.py`).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from dagster import AssetKey, Definitions

    from de_stack.orchestration.changes import Reach

_MOST_SHOWN = 10


def changed(
    since: Annotated[str, typer.Option(help="Branch, tag or commit to compare with.")] = "HEAD",
    run: Annotated[
        bool, typer.Option("--run", help="Bring samples in and materialize the assets.")
    ] = False,
    namespace: Annotated[
        str | None, typer.Option(help="Of --run; a new one without it.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Name the assets that files reach which differ from a commit, saved or committed.

    With --run their domains' samples are brought into a namespace of its own, and the assets with
    all that they read are made there by `dagster asset materialize`; exit 1 where a command or a
    check fails.
    """
    from de_stack.cli.git import changed_files
    from de_stack.orchestration.bringing import selection
    from de_stack.orchestration.changes import Changes

    root = Path(__file__).resolve().parents[2]
    base, files = changed_files(root, since)
    location = _loaded()
    changes = Changes(location, root)
    reached = [changes.reach(path) for path in files]
    assets = changes.union(reached)
    said: dict[str, Any] = {
        "since": since,
        "base": base,
        "files": [{"path": r.path, "assets": _names(r.assets), "why": r.why} for r in reached],
        "assets": _names(assets),
        "select": selection(assets),
    }
    if not as_json:
        _print(said, reached)
    if run and assets:
        from de_stack.cli.changed_run import bring

        outcome = bring(root, location, assets, namespace, as_json)
        said["run"] = outcome.plain()
        if as_json:
            typer.echo(json.dumps(said))
        else:
            outcome.show()
        if not outcome.ok:
            raise typer.Exit(1)
    elif as_json:
        typer.echo(json.dumps(said))
    elif assets:
        typer.echo(f"\n--select {shlex.quote(said['select'])}")


def _loaded() -> Definitions:
    """The code location.

    Raises:
        PermanentFailure: what a module of it has raised, and where.
    """
    import traceback

    from de_stack.definitions import defs
    from de_stack.failures import Failure, PermanentFailure

    try:
        location = defs()
        location.resolve_asset_graph()
    except Failure:
        raise
    except Exception as error:
        place: Any = error if isinstance(error, SyntaxError) else None
        place = place or traceback.extract_tb(error.__traceback__)[-1]
        got = f"{type(error).__name__}: {error} ({place.filename}:{place.lineno})"
        raise PermanentFailure("load the code location", got, "mend that line") from error
    return location


def _names(keys: Sequence[AssetKey]) -> list[str]:
    return [key.to_user_string() for key in keys]


def _print(said: dict[str, Any], reached: Sequence[Reach]) -> None:
    idle = sum(not one.assets for one in reached)
    # A branch of documentation, or the first push of a repository: hundreds of files.
    for one in reached:
        if one.assets:
            typer.echo(f"{one.path}: {len(one.assets)} assets: {one.why}")
        elif idle <= _MOST_SHOWN:
            typer.echo(f"{one.path}: none: {one.why}")
    if idle > _MOST_SHOWN:
        typer.echo(f"{idle} more files: none: no asset is made of them")
    differ = f"{len(reached)} file{'s differ' if len(reached) != 1 else ' differs'}"
    typer.echo(f"{differ} from {said['base'][:12]} ({said['since']})")
    if not said["assets"]:
        typer.echo("no asset is reached")
        return
    typer.echo(f"\n{len(said['assets'])} assets are reached:")
    for name in said["assets"]:
        typer.echo(f"  {name}")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(changed)
