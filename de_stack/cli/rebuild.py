"""`de-stack rebuild SELECTION`: derived hours computed again, although nothing is pending.

Belongs here: reading arguments, the order of runs, printing. Does not belong here: choosing assets
and running them (`orchestration.rebuilding`), sizes (`flow.rebuilding`).
"""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from de_stack.contracts import Dataset
    from de_stack.flow.tables import Table
    from de_stack.orchestration.rebuilding import Chosen
    from de_stack.settings import Settings

_TIME = "event hour, e.g. 2026-11-21T13:00, UTC."
_TIMES = ["%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d", "%Y-%m-%d-%H:%M"]
# A month of hours in a run, as the sensor does.
_MAX_PERIODS = 31 * 24
_ATTEMPTS, _PAUSE_S = 3, 10.0


def rebuild(
    selection: Annotated[
        str, typer.Argument(help="domain.entity, or assets: 'telemetry/silver_measures+'")
    ],
    first: Annotated[
        datetime | None, typer.Option("--from", formats=_TIMES, help=f"First {_TIME}")
    ] = None,
    last: Annotated[
        datetime | None, typer.Option("--to", formats=_TIMES, help=f"Last, included; {_TIME}")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would do.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One object per line.")] = False,
) -> None:
    """Compute derived hours again: all that landed without --from and --to, else between them.

    A table that was lost as a whole is made anew, with version numbers that go on; its other hours
    are pending then. Held hours are left out and named. Running it again changes nothing.
    """
    from de_stack.definitions import defs
    from de_stack.flow.rebuilding import spans
    from de_stack.flow.tables import place
    from de_stack.orchestration.rebuilding import choose
    from de_stack.settings import Settings

    settings, location = Settings(), defs()
    chosen = choose(location, selection)
    stream = chosen.stream
    own = [place(settings, stream.domain, k.path[1], stream.grain) for k in chosen.hourly]
    bronze = place(settings, stream.domain, f"bronze_{stream.entity}", stream.grain)
    since, until = (_floor(moment, stream.grain) for moment in (first, last))
    held = _held(settings, chosen, since, until)
    ranges = spans(settings, [bronze, *own], stream.grain, since, until, _MAX_PERIODS, held)
    if held:
        _left_out(stream, held, bool(ranges), as_json)
    if not ranges and chosen.hourly:
        _none(settings, bronze, stream.grain)
    if chosen.added and not as_json:
        typer.echo(f"with {_names(chosen.added)}: Postgres only takes a newer version of it")
    if chosen.left_out and not as_json:
        typer.echo(f"left out, not derived: {_names(chosen.left_out)}")
    if dry_run:
        _plan(settings, chosen, ranges, as_json)
    else:
        _accept(settings, own, as_json)
        _run(settings, location, chosen, ranges, as_json)


def _floor(moment: datetime | None, grain: str) -> datetime | None:
    from de_stack import partitions

    return moment and partitions.floor(moment.replace(tzinfo=UTC), grain)


def _held(
    settings: Settings, chosen: Chosen, first: datetime | None, last: datetime | None
) -> list[datetime]:
    """Hours that a rebuild would change although a person has to release them first."""
    from de_stack.contracts import Stream
    from de_stack.flow.late import late_hours

    stream = chosen.stream
    if not isinstance(stream, Stream):
        return []  # Day files are never held.
    if not any(key.path[1].startswith("silver_") for key in chosen.hourly):
        return []  # The rows that came late are not in silver yet: what reads it does not change.
    held = [h.event_hour for h in late_hours(settings, stream) if h.state == "held"]
    return [h for h in held if (first is None or first <= h) and (last is None or h <= last)]


def _left_out(stream: Dataset, held: list[datetime], is_rest: bool, as_json: bool) -> None:
    from de_stack import partitions
    from de_stack.failures import PermanentFailure

    keys = [partitions.key(hour, stream.grain) for hour in held]
    named = ", ".join(keys[:3]) + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")
    fix = f"`de-stack late release {stream.name}` first"
    if not is_rest:
        raise PermanentFailure("choose event hours", f"held: {named}", fix, page="held-hours")
    if as_json:
        _say(as_json, held=keys)
    else:
        typer.echo(f"left out, held: {named}; {fix}")


def _none(settings: Settings, bronze: Table, grain: str) -> None:
    from de_stack import partitions
    from de_stack.failures import PermanentFailure
    from de_stack.flow.ledger import Ledger

    hours = Ledger(settings).touched_hours(bronze.table_id, None, None)
    ends = " to ".join(partitions.key(hour, grain) for hour in (hours[0], hours[-1]) if hours)
    raise PermanentFailure(
        "choose event hours",
        f"{bronze.table_id} has nothing of them" if hours else "nothing has landed yet",
        f"it has {ends}" if hours else "land first",
        page="no-table-yet",
    )


def _names(keys: Any) -> str:
    return ", ".join(key.to_user_string() for key in keys)


def _plan(settings: Settings, chosen: Chosen, ranges: list, as_json: bool) -> None:
    """One line per asset and range: what would be read and what replaced."""
    from de_stack.flow.rebuilding import extent
    from de_stack.flow.remake import lost
    from de_stack.flow.tables import place

    domain, grain = chosen.stream.domain, chosen.stream.grain
    for key in chosen.hourly:
        source = place(settings, domain, chosen.source[key].path[1], grain)
        target = place(settings, domain, key.path[1], grain)
        in_lake = not key.path[1].startswith("published_")
        gone = in_lake and lost(settings, target.table_id, target.uri) is not None
        for span in ranges:
            read = extent(settings, source, *span)
            old = extent(settings, target, *span) if in_lake else None
            _say(
                as_json,
                asset=key.to_user_string(),
                **_span(span, grain),
                read_rows=read.rows,
                read_bytes=read.bytes,
                replaced_rows=old.rows if old else None,
                replaced_bytes=old.bytes if old else None,
                is_lost=gone,
            )
    for key in chosen.whole:
        _say(as_json, asset=key.to_user_string(), whole=True)


def _accept(settings: Settings, tables: list[Table], as_json: bool) -> None:
    from de_stack.flow.remake import accept_loss, lost

    for table in tables:
        version = lost(settings, table.table_id, table.uri)
        # What is published has no place in the lake, and no commits either.
        if version is not None:
            user = getpass.getuser()
            accept_loss(settings, table.table_id, version, "de-stack rebuild", user)
            _say(as_json, lost=table.table_id, made_anew_at_version=version + 1)


def _run(settings: Settings, location: Any, chosen: Chosen, ranges: list, as_json: bool) -> None:
    from de_stack.failures import PermanentFailure

    if settings.profile == "embedded":
        home = settings.home / "dagster"
        os.environ["DAGSTER_HOME"] = str(home)
        if not home.is_dir():
            raise PermanentFailure("find Dagster's runs", f"no folder {home}", "de-stack up")
    elif not os.environ.get("DAGSTER_HOME"):
        raise PermanentFailure(
            "find Dagster's runs", "DAGSTER_HOME is not set", "set it", page="settings"
        )
    import dagster as dg

    steps: list[tuple[list[Any], Any]] = [(chosen.hourly, span) for span in ranges]
    steps = [*(steps if chosen.hourly else []), *([(chosen.whole, None)] if chosen.whole else [])]
    with dg.DagsterInstance.get() as instance:
        for number, (keys, span) in enumerate(steps, 1):
            done = _once(location, instance, settings, chosen, keys, span)
            for asset, said in done.items():
                step = {"step": number, "of": len(steps)}
                _say(as_json, **step, asset=asset, **_span(span, chosen.stream.grain), **said)


def _once(
    location: Any, instance: Any, settings: Settings, chosen: Chosen, keys: list, span: Any
) -> dict[str, dict[str, Any]]:
    from de_stack.failures import TransientFailure
    from de_stack.orchestration.rebuilding import run

    for left in range(_ATTEMPTS - 1, -1, -1):
        try:
            # What dbt says is for people; a program reads what we print.
            with contextlib.redirect_stdout(sys.stderr):
                return run(location, instance, settings, chosen.stream, keys, span)
        except TransientFailure as failure:
            # Most often a run of the sensor that was under way, in the same hours.
            if not left:
                raise
            typer.echo(f"{failure}; again in {_PAUSE_S:g} s", err=True)
            time.sleep(_PAUSE_S)
    raise AssertionError  # the last attempt returns or raises


def _span(span: tuple[datetime, datetime] | None, grain: str) -> dict[str, str]:
    from de_stack import partitions

    return {
        n: partitions.key(m, grain) for n, m in zip(("first", "last"), span or (), strict=False)
    }


def _say(as_json: bool, **said: Any) -> None:
    if as_json:
        typer.echo(json.dumps(said, default=str))
        return
    words = [f"{said.pop('step')}/{said.pop('of')}"] if "step" in said else []
    words += [str(said.pop("asset"))] if "asset" in said else []
    words += [f"{said.pop('first')}..{said.pop('last')}"] if "first" in said else []
    shown = (
        f"{name.removeprefix('dagster/').replace('_', ' ')} "
        f"{f'{value:,}' if isinstance(value, int) and not isinstance(value, bool) else value}"
        for name, value in said.items()
        if value is not None and value is not False
    )
    typer.echo(f"{' '.join(words)}: {', '.join(shown)}" if words else ", ".join(shown))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(rebuild)
