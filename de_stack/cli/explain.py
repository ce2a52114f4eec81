"""`de-stack explain`: the page of a refusal, in the terminal.

Belongs here: finding and printing pages. Does not belong here: what they say (`docs/refusals`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from de_stack.failures import PAGES

# As dbt's project, the pages are in the checkout and not in a wheel.
_FOLDER = Path(__file__).parents[2] / PAGES


def explain(
    name: Annotated[
        str | None,
        typer.Argument(help="A page, as messages name it, or some words of a message."),
    ] = None,
) -> None:
    """What a refusal means, what is at stake, what to type; all pages without a name."""
    from de_stack.failures import PermanentFailure

    if not _FOLDER.is_dir():
        fix = f"read {PAGES} where the project's source is"
        raise PermanentFailure("read the pages of refusals", f"there is no {_FOLDER}", fix)
    pages = {path.stem: path for path in sorted(_FOLDER.glob("*.md")) if path.stem != "README"}
    if name is None:
        for each, path in pages.items():
            typer.echo(f"{each:<20}  {_title(path)}")
        return
    page = pages.get(Path(name).stem)
    if page is not None:
        typer.echo(page.read_text(encoding="utf-8").rstrip())
        return
    words = _plain(name)
    found = {each: path for each, path in pages.items() if words in _plain(path.read_text("utf-8"))}
    if not found:
        tried, got = f"find a page for {name!r}", "no page has that name, or these words"
        raise PermanentFailure(tried, got, "`de-stack explain` lists all")
    for each, path in found.items():
        typer.echo(f"{each:<20}  {_title(path)}")


def _title(path: Path) -> str:
    return path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def _plain(text: str) -> str:
    """As it would be without line ends: a message in a page has some."""
    return " ".join(text.lower().split())


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(explain)
