"""`de-stack dead-letters list | show | replay`: messages against their contract, and a second try.

Belongs here: printing, reading a mended file. Does not belong here: finding and sending letters
(`flow.dead_letters`, `flow.replay`).
"""

from __future__ import annotations

import getpass
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from de_stack.contracts import Stream
    from de_stack.flow.letters import Letter, Position
    from de_stack.settings import Settings

Name = Annotated[str, typer.Option("--stream", help="domain.entity")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]
_DEFAULT = "telemetry.measures"
_PLACE = "PARTITION:OFFSET, as `list` shows it"


def list_(
    stream: Annotated[str, typer.Argument(help="domain.entity")] = _DEFAULT,
    all_: Annotated[bool, typer.Option("--all", help="Settled ones, too.")] = False,
    code: Annotated[str | None, typer.Option(help="Only those with this code.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, newest first.")] = 50,
    as_json: Json = False,
) -> None:
    """Letters that nothing has repeated yet, newest first: where, code, field, reason."""
    from de_stack.flow.letter_shelf import letters

    settings, contract = _entered(stream)
    found = letters(settings, contract, not all_, code, limit)
    if as_json:
        typer.echo(json.dumps([_plain(letter) for letter in found], indent=2))
    else:
        _print(found)


def show(
    place: Annotated[str, typer.Argument(help=_PLACE)],
    stream: Name = _DEFAULT,
    as_json: Json = False,
) -> None:
    """One letter: what is wrong, headers, the message as it came."""
    from de_stack.flow.letter_shelf import letters
    from de_stack.flow.letters import pick

    settings, contract = _entered(stream)
    known = {letter.position: letter for letter in letters(settings, contract)}
    letter = _plain(known[pick(known, place)])
    if as_json:
        typer.echo(json.dumps(letter, indent=2))
        return
    for name, value in letter.items():
        if name == "headers":
            for header in value:
                said = header["text"] if "text" in header else f"hex:{header['hex']}"
                typer.echo(f"{'header':>16}  {header['key']}: {said}")
        elif value is not None:
            typer.echo(f"{name:>16}  {value}")


def replay(
    stream: Annotated[str, typer.Argument(help="domain.entity")] = _DEFAULT,
    place: Annotated[list[str] | None, typer.Option("--only", help=_PLACE)] = None,
    file: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help='Mended letters, one JSON object per line: {"partition", "offset", "value"}.',
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Send letters to their topic again, each once: all open ones, those named, those of a file."""
    from de_stack.flow.letter_shelf import letters
    from de_stack.flow.letters import pick
    from de_stack.flow.replay import replay as send

    settings, contract = _entered(stream)
    known = [letter.position for letter in letters(settings, contract)]
    mended = _mended(file, known) if file else {}
    chosen = [pick(known, text) for text in place or []] + list(mended)
    done = send(settings, contract, getpass.getuser(), chosen if place or file else None, mended)
    if as_json:
        names = {name: list(map(str, found)) for name, found in vars(done).items()}
        typer.echo(json.dumps(names, indent=2))
        return
    typer.echo(
        f"sent {len(done.sent)}, under way already {len(done.under_way)}, "
        f"settled already {len(done.settled)}"
    )


def _entered(stream: str) -> tuple[Settings, Stream]:
    """Settings and contract, after the letters' table was brought to what has landed."""
    from de_stack.contracts import load_stream
    from de_stack.flow.dead_letters import enter_letters
    from de_stack.settings import Settings

    settings, contract = Settings(), load_stream(stream)
    enter_letters(settings, contract, f"command by {getpass.getuser()}")
    return settings, contract


def _mended(file: Path, known: Iterable[Position]) -> dict[Position, bytes | None]:
    from de_stack.failures import PermanentFailure
    from de_stack.flow.letters import pick

    known, found = list(known), {}
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        tried = f"read line {number} of {file}"
        try:
            given = json.loads(line)
            place, value = f"{given['partition']}:{given['offset']}", given["value"]
        except (ValueError, KeyError, TypeError) as error:
            fix = 'write {"partition": 0, "offset": 7, "value": "..."}'
            raise PermanentFailure(tried, f"{type(error).__name__}: {error}", fix) from error
        if not isinstance(value, str):
            raise PermanentFailure(tried, f"value is a {type(value).__name__}", "write it as text")
        if "topic_id" in given:
            place = f"{given['topic_id']}:{place}"
        position = pick(known, place)
        if position in found:
            raise PermanentFailure(tried, f"letter {place} stands twice")
        found[position] = value.encode()
    return found


def _plain(letter: Letter) -> dict[str, Any]:
    from de_stack.flow.letters import readable, shown

    given = asdict(letter)
    place = given.pop("position")
    for name in ("key", "value"):
        given[name] = shown(given[name])
    for name in ("broker_time", "resolved_at"):
        given[name] = given[name] and given[name].isoformat()
    return place | given | {"headers": readable(letter.headers)}


def _print(found: list[Letter]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from de_stack.flow.letters import shown

    table = Table("letter", "taken", "code", "field", "reason", "message", "then")
    for letter in found:
        at = f"{letter.broker_time:%Y-%m-%d %H:%M:%S}"
        then = "resolved" if letter.resolved_by else letter.replayed_as or "open"
        place = f"{letter.position.partition}:{letter.position.offset}"
        message = (shown(letter.value) or "-")[:60]
        row = (place, at, letter.code, letter.field or "-", letter.reason, message, then)
        table.add_row(*map(Text, row))
    Console().print(table if found else "no dead letter")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Messages against their contract.", no_args_is_help=True)
    group.command("list")(list_)
    for command in (show, replay):
        group.command()(command)
    app.add_typer(group, name="dead-letters")
