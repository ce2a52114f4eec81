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
_PLACE = "PARTITION:OFFSET, as `list` shows it, or TOPIC_ID:PARTITION:OFFSET"
_FILE = (
    "Mended letters, one JSON object per line, as `list --json` has them: topic_id, partition, "
    "offset, value; value_hex for bytes that are no text. Where both are null, the message is sent "
    "as it came."
)
_LIMIT = "At most so many, newest first; 0: all."


def list_(
    stream: Annotated[str, typer.Argument(help="domain.entity")] = _DEFAULT,
    all_: Annotated[bool, typer.Option("--all", help="Settled ones, too.")] = False,
    code: Annotated[str | None, typer.Option(help="Only those with this code.")] = None,
    limit: Annotated[int, typer.Option(min=0, help=_LIMIT)] = 50,
    as_json: Json = False,
) -> None:
    """Letters that nothing has repeated yet, newest first: where, code, field, reason."""
    from de_stack.flow.letter_shelf import letters

    settings, contract = _entered(stream)
    found = letters(settings, contract, not all_, code, limit + 1 if limit else None)
    is_cut = 0 < limit < len(found)
    found = found[:limit] if is_cut else found
    if as_json:
        typer.echo(json.dumps([_plain(letter) for letter in found], indent=2))
    else:
        _print(found)
    if is_cut:
        said = f"these are the newest {limit}, there are more: `--limit 0` lists all"
        typer.echo(said, err=as_json)


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
        Path | None, typer.Option("--file", exists=True, dir_okay=False, help=_FILE)
    ] = None,
    as_json: Json = False,
) -> None:
    """Send letters to their topic again, each once: all open ones, those named, those of a file.

    Not while a `reparse` runs: it may be mending them.
    """
    from de_stack.flow.letter_shelf import letters
    from de_stack.flow.letters import pick
    from de_stack.flow.replay import replay as send

    settings, contract = _entered(stream)
    known = [letter.position for letter in letters(settings, contract)]
    of_file = _of_file(file, known) if file else {}
    chosen = [pick(known, text) for text in place or []] + list(of_file)
    mended = {position: value for position, value in of_file.items() if value is not None}
    done = send(settings, contract, getpass.getuser(), chosen if place or file else None, mended)
    if as_json:
        names = {name: list(map(str, found)) for name, found in vars(done).items()}
        typer.echo(json.dumps(names, indent=2))
        return
    typer.echo(
        f"sent {len(done.sent)}, under way already {len(done.under_way)}, "
        f"settled already {len(done.settled)}"
    )
    if done.unsendable:
        typer.echo(
            f"not sent {len(done.unsendable)}, they have a header without a value: "
            + ", ".join(map(str, done.unsendable[:5]))
        )


def _entered(stream: str) -> tuple[Settings, Stream]:
    """Settings and contract, after the letters' table was brought to what has landed."""
    from de_stack.contracts import load_stream
    from de_stack.flow.dead_letters import enter_letters
    from de_stack.settings import Settings

    settings, contract = Settings(), load_stream(stream)
    enter_letters(settings, contract, f"command by {getpass.getuser()}")
    return settings, contract


def _of_file(file: Path, known: Iterable[Position]) -> dict[Position, bytes | None]:
    """The letters of a file with their new bytes; None for a letter that goes as it came."""
    from de_stack.failures import PermanentFailure
    from de_stack.flow.letters import pick

    known, found = list(known), {}
    # Not `splitlines`: a text may hold what that takes for the end of a line, as U+2028.
    for number, line in enumerate(file.read_bytes().split(b"\n"), 1):
        if not line.strip():
            continue
        tried = f"read line {number} of {file}"
        try:
            given = json.loads(line)
            place, value = f"{given['partition']}:{given['offset']}", _bytes(given)
        except (ValueError, KeyError, TypeError) as error:
            fix = (
                'write {"partition": 0, "offset": 7, "value": "..."}, or "value_hex": "..." for '
                "bytes that are no text; null for a message as it came"
            )
            raise PermanentFailure(
                tried, f"{type(error).__name__}: {error}", fix, page="dead-letters"
            ) from error
        if given.get("topic_id") is not None:
            place = f"{given['topic_id']}:{place}"
        position = pick(known, place)
        if position in found:
            raise PermanentFailure(tried, f"letter {place} stands twice", page="dead-letters")
        found[position] = value
    return found


def _bytes(given: dict[str, Any]) -> bytes | None:
    """What a line of the file gives: `flow.letters.plain` read back."""
    text, digits = given.get("value"), given.get("value_hex")
    if "value" not in given and digits is None:
        raise KeyError("value")
    if text is not None and digits is not None:
        raise ValueError("there are both value and value_hex: set one of them to null")
    if digits is not None:
        return bytes.fromhex(digits)
    if text is not None and not isinstance(text, str):
        raise TypeError(f"value is a {type(text).__name__}, not a text")
    return None if text is None else text.encode()


def _plain(letter: Letter) -> dict[str, Any]:
    from de_stack.flow.letters import plain, readable

    given = asdict(letter)
    found = given.pop("position")
    for name, value in given.items():
        found |= plain(name, value) if name in ("key", "value") else {name: value}
    for name in ("broker_time", "resolved_at"):
        found[name] = found[name] and found[name].isoformat()
    return found | {"headers": readable(letter.headers)}


def _print(found: list[Letter]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from de_stack.flow.letters import shown

    table = Table("letter", "taken", "source", "code", "field", "reason", "message", "then")
    for letter in found:
        at = f"{letter.broker_time:%Y-%m-%d %H:%M:%S}"
        then = "resolved" if letter.resolved_by else letter.replayed_as or "open"
        place = f"{letter.position.partition}:{letter.position.offset}"
        message = (shown(letter.value) or "-")[:60]
        row = (
            place,
            at,
            letter.source,
            letter.code,
            letter.field or "-",
            letter.reason,
            message,
            then,
        )
        table.add_row(*map(Text, row))
    Console().print(table if found else "no dead letter")


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Messages against their contract.", no_args_is_help=True)
    group.command("list")(list_)
    for command in (show, replay):
        group.command()(command)
    app.add_typer(group, name="dead-letters")
