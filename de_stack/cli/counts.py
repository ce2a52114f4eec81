"""`de-stack counts`: is every accepted row where it should be.

Belongs here: waiting, printing, exit code. Does not belong here: counting (`flow.counts`).
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from de_stack.flow.counts import Counts


def counts(
    stream: Annotated[str, typer.Argument(help="domain.entity")] = "telemetry.measures",
    settle: Annotated[
        bool,
        typer.Option("--settle", help="Pause the generator and wait until nothing is under way."),
    ] = False,
    timeout: Annotated[float, typer.Option(help="Seconds that --settle waits.")] = 300,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable.")] = False,
) -> None:
    """Count accepted, silver and published rows; exit 1 where they disagree.

    While the generator runs, rows are always under way: `--settle` pauses it for the count.
    """
    from de_stack.contracts import load_stream
    from de_stack.settings import Settings

    settings, contract = Settings(), load_stream(stream)
    if settle and settings.profile == "embedded":
        with _paused_generator(as_json):
            door, found = _settled(settings, contract, timeout)
    elif settle:
        door, found = _settled(settings, contract, timeout)
    else:
        door, found = _door(settings, contract), _count(settings, contract)
    # A row may be acknowledged by Kafka and yet be sent again, because its answer was lost: counted
    # once or twice at the door, and one of the two a duplicate. Others came past the door: by
    # replay, by another producer, or the door was killed before it could count and answer.
    others = found.bronze - found.replayed - sum(door)
    equal = found.agree and others >= 0
    if as_json:
        told = {"accepted": door[0], "refused": door[1], "by_others": max(0, others)}
        typer.echo(json.dumps({**told, **asdict(found), "equal": equal}))
    else:
        _print(door, max(0, others), found, equal)
    if not equal:
        raise typer.Exit(1)


def _door(settings, contract) -> tuple[int, int]:  # noqa: ANN001 - imported late, see `counts`
    """(events that the collector has answered with 202, those that it refused and kept)."""
    from de_stack.resources.accepted import accepted_total, kept_total

    topic = settings.names.topic(*contract.topic)
    return accepted_total(settings.home, topic), kept_total(settings.home, topic)


def _count(settings, contract) -> Counts:  # noqa: ANN001
    from de_stack.flow.counts import count

    return count(settings, contract)


def _settled(settings, contract, timeout: float) -> tuple[tuple[int, int], Counts]:  # noqa: ANN001
    from de_stack.failures import TransientFailure

    deadline = time.monotonic() + timeout
    while True:
        found = _count(settings, contract)
        if found.settled:
            return _door(settings, contract), found
        if time.monotonic() > deadline:
            raise TransientFailure(
                "wait until nothing is under way",
                f"after {timeout:g} s {found.waiting} offsets wait in Kafka "
                f"and {found.pending} hours are pending",
                "look at the runs in the UI, or `de-stack logs daemon`",
                page="still-under-way",
            )
        time.sleep(2)


class _paused_generator:  # noqa: N801 - used as a verb
    def __init__(self, quiet: bool) -> None:
        self._quiet, self._stopped = quiet, False

    def __enter__(self) -> None:
        from de_stack.local import stack
        from de_stack.local.status import rows
        from de_stack.settings import Settings

        running = {r.name for r in rows(Settings().home) if r.state == "running"}
        if "generator" in running:
            self._say("pausing the generator ...")
            self._stopped = True
            try:
                stack.stop(["generator"])
            except BaseException:
                self.__exit__()
                raise

    def __exit__(self, *_: object) -> None:
        from de_stack.local import stack

        if self._stopped:
            stack.up(["generator"])
            self._say("the generator runs again")

    def _say(self, line: str) -> None:
        if not self._quiet:
            typer.echo(line, err=True)


def _print(door: tuple[int, int], others: int, found: Counts, equal: bool) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Rows in each room")
    table.add_column("room")
    table.add_column("rows", justify="right")
    table.add_column("", style="dim")
    for room, rows, note in (
        ("accepted by the collector", door[0], "answered with 202, over all its lives"),
        ("refused by it", door[1], "kept as dead letters"),
        ("by others", others, "straight to Kafka, or killed before it was answered"),
        ("bronze", found.bronze, f"landed from Kafka; {found.waiting} offsets wait there"),
        ("- replayed", found.replayed, "dead letters, sent again: no new rows"),
        ("- dead letters", found.dead, "against the contract, kept in bronze"),
        ("- duplicates", found.duplicates, "of an event that is in silver"),
        ("- held", found.held, "older than the look-back: `de-stack late list`"),
        ("silver", found.silver, f"one per event; {found.pending} event hours are pending"),
        ("Postgres", found.published, "sum of the counts in the published statistics"),
    ):
        table.add_row(room, f"{rows:,}", note)
    console = Console()
    console.print(table)
    if equal:
        console.print(
            "every accepted row is accounted for, and Postgres counts silver", style="green"
        )
    elif not found.settled:
        console.print("rows are under way: `de-stack counts --settle`", style="yellow")
    else:
        console.print("the rooms disagree although nothing is under way", style="red")


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(counts)
