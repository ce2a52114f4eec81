"""`de-stack contracts diff`: is a contract still what others rely on.

Belongs here: finding the two versions, printing, exit code. Does not belong here: what breaks
(`contracts.diff`).
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.contracts.diff import Change

Streams = dict[str, "Stream"]
_OLD = "A file, a revision of git, or `landed`: what bronze was last written with."
_NEW = "A file or a revision; the files of this tree without it."
_COLOURS = {"major": "red", "minor": "yellow", "patch": "dim"}


def diff(
    old: Annotated[str, typer.Argument(help=_OLD)] = "HEAD",
    new: Annotated[str | None, typer.Argument(help=_NEW)] = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Compatible, or what breaks: what follows from it, and which version number it takes.

    Without arguments: this tree's contracts against those that were last committed. Exit 1 where
    something breaks.
    """
    from de_stack.contracts.diff import changes, is_raised_enough, needed

    before, after = _two(old, new)
    found = changes(before, after)
    versions = []
    for domain in sorted({s.domain for s in [*before.values(), *after.values()]}):
        was, now = (_version(streams, domain) for streams in (before, after))
        level = needed([c for c in found if c.stream.split(".")[0] == domain])
        ok = was is None or now is None or is_raised_enough(was, now, level)
        versions.append({"domain": domain, "old": was, "new": now, "needs": level, "is_right": ok})
    breaking = any(change.is_breaking for change in found)
    if as_json:
        listed = [{**asdict(c), "is_breaking": c.is_breaking} for c in found]
        answer = {"compatible": not breaking, "changes": listed, "versions": versions}
        typer.echo(json.dumps(answer, indent=2))
    else:
        _print(found, versions, breaking)
    if breaking:
        raise typer.Exit(1)


def _two(old: str, new: str | None) -> tuple[Streams, Streams]:
    """Both versions; of a single file only the domain that it describes is compared."""
    from de_stack.contracts import load_all
    from de_stack.contracts.load import DEFS

    after = _read(new, DEFS) if new else load_all()
    before = _landed(after, DEFS) if old == "landed" else _read(old, DEFS)
    for given, other in ((old, after), (new, before)):
        if given and Path(given).is_file():
            domains = {s.domain for s in (before if other is after else after).values()}
            kept = {name: s for name, s in other.items() if s.domain in domains}
            before, after = (before, kept) if other is after else (kept, after)
    return before, after


def _read(given: str, defs: Path) -> Streams:
    from de_stack.contracts import load_file

    if Path(given).is_file():
        return {stream.name: stream for stream in load_file(Path(given))}
    names = _git(defs, "ls-tree", "-r", "--name-only", given, "--", ".").split()
    found: Streams = {}
    for name in names:
        if name.endswith("contract.odcs.yaml"):
            found |= _of_revision(defs, given, name)
    return found


def _of_revision(defs: Path, revision: str, name: str) -> Streams:
    from de_stack.contracts import load_file

    text = _git(defs, "show", f"{revision}:./{name}")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{revision.replace('/', '_')}.{Path(name).name}"
        path.write_text(text, encoding="utf-8")
        return {stream.name: stream for stream in load_file(path)}


def _landed(after: Streams, defs: Path) -> Streams:
    """Of each stream that has landed, the newest committed contract with that version number."""
    from de_stack.failures import PermanentFailure
    from de_stack.flow.bronze import bronze
    from de_stack.flow.entered import contract_version
    from de_stack.settings import Settings

    settings, found = Settings(), {}
    for stream in after.values():
        version = contract_version(settings, bronze(settings, stream).table_id)
        name = f"{stream.domain}/contract.odcs.yaml"
        revisions = _git(defs, "log", "--format=%H", "--", name).split() if version else []
        for revision in revisions:
            old = _of_revision(defs, revision, name).get(stream.name)
            if old and old.version == version:
                found[stream.name] = old
                break
        else:
            got = f"no commit has version {version}" if version else "nothing has landed yet"
            fix = "name a file or a revision instead of `landed`"
            raise PermanentFailure(
                f"find the contract that {stream.name} landed with",
                got,
                fix,
                page="contract-changed",
            )
    return found


def _git(folder: Path, *words: str) -> str:
    from de_stack.cli.git import git
    from de_stack.failures import PermanentFailure

    tried, fix = f"git {' '.join(words)}", "name two files, or a revision that git knows"
    try:
        return git(folder, *words)
    except PermanentFailure as failure:
        raise PermanentFailure(tried, failure.got, fix, page="contract-changed") from failure


def _version(streams: Streams, domain: str) -> str | None:
    return next((s.version for s in streams.values() if s.domain == domain), None)


def _print(found: list[Change], versions: list[dict], breaking: bool) -> None:
    from rich.console import Console

    console = Console()
    for change in found:
        word = "BREAKS" if change.is_breaking else "compatible"
        then = f"; then: {change.follow}" if change.follow else ""
        text = f"{word}: {change.stream} {change.where}: {change.what}{then}"
        console.print(text, style=_COLOURS[change.level], markup=False, soft_wrap=True)
    for one in versions:
        if one["needs"] is None:
            continue
        said = f"{one['domain']}: version {one['old']} -> {one['new']}, a {one['needs']} change"
        word = "" if one["is_right"] else f": raise the {one['needs']} number"
        console.print(said + word, style=None if one["is_right"] else "red", markup=False)
    if not found:
        console.print("no difference", style="green")
    elif not breaking:
        console.print("compatible", style="green")


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(help="Contracts and their versions.", no_args_is_help=True)
    group.command()(diff)
    # With a second command the group keeps its name also where it is the only one of an app.
    group.callback()(lambda: None)
    app.add_typer(group, name="contracts")
