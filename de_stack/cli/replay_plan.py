"""What `de-stack replay` decides before it sends anything.

Belongs here: which column, which shift, whether the file's rows can be meant so. Does not belong
here: arguments (`replay.py`), sending (`replay_send.py`), waiting (`replay_wait.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from de_stack.failures import PermanentFailure

if TYPE_CHECKING:
    from de_stack.contracts import Stream
    from de_stack.settings import Settings
    from de_stack.sources.replay.mapping import Mapping
    from de_stack.sources.replay.records import Records
    from de_stack.sources.replay.source import Source
    from de_stack.sources.replay.times import Times

_LOOK = 1000


@dataclass(frozen=True)
class Plan:
    """Everything that is decided before anything is sent."""

    file: Path
    source: Source
    times: Times
    mapping: Mapping
    shift_days: int | None
    sha256: str
    name: str
    topic_id: str


def say(line: str) -> None:
    """Tell a person; standard output is for what was asked for."""
    typer.echo(line, err=True)


def zone_of(name: str | None) -> tzinfo:
    """The zone of a name; UTC without one."""
    if name is None or name.upper() == "UTC":
        return UTC
    from zoneinfo import ZoneInfo

    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError) as error:
        fix = "a name such as Europe/Berlin or America/New_York"
        raise PermanentFailure(f"read --time-zone {name}", "no such zone", fix) from error


def check_name(name: str) -> None:
    """Refuse what cannot be part of an id."""
    from de_stack import naming

    try:
        if name:
            naming.word(name, "name")
    except ValueError as error:
        raise PermanentFailure(f"read --as {name}", str(error)) from error


def topic_id_of(settings: Settings, contract: Stream) -> str:
    """Id of the stream's topic."""
    from de_stack.resources.kafka import Kafka

    topic = settings.names.topic(*contract.topic)
    state = Kafka(settings).topic_state(topic, 5000)
    if state is None:
        fix = f"{settings.making} makes it"
        raise PermanentFailure(
            f"read topic {topic}", "there is no such topic", fix, page="no-topic"
        )
    return state.topic_id


def tell(mapping: Mapping, source: Source) -> None:
    """Which columns were matched by name, and what the reader has decided."""
    if source.note:
        say(source.note)
    if mapping.by_name:
        same = ", ".join(f"{name} <- {mapping.columns[name]}" for name in mapping.by_name)
        say(f"columns matched by name: {same}")


def shift(
    earlier: list[Any],
    contract: Stream,
    source: Source,
    mapping: Mapping,
    times: Times,
    to_now: bool,
    days: int | None,
) -> int | None:
    """Days to move all times by; None for not at all."""
    from de_stack.flow.sent_files import remembered_shift
    from de_stack.sources.replay.records import days_until, last_time

    if not to_now:
        return days
    tried = "move the times to now"
    if days is not None:
        raise PermanentFailure(tried, "there are both --shift-to-now and --shift-days")
    column = mapping.columns.get(contract.event_time)
    if column is None:
        raise PermanentFailure(tried, f"{contract.event_time} is the same constant for all rows")
    if (known := remembered_shift(earlier)) is not None:
        say(
            f"times are moved by {known.shift_days} days, as on {known.began_at:%Y-%m-%d %H:%M} "
            "UTC, when this file was sent first (--shift-days N for another constant)"
        )
        return known.shift_days
    last = last_time(source, column, times)
    if last is None:
        ask(contract, source, mapping, times)
        raise PermanentFailure(
            tried,
            f"no time can be read in column {column!r}",
            "--time-format",
            page="ambiguous-times",
        )
    found = days_until(last, datetime.now(UTC))
    moved = last + timedelta(days=found)
    say(f"times are moved by {found} days: the last one, {_utc(last)}, to {_utc(moved)}")
    return found


def _utc(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC"


def ask(contract: Stream, source: Source, mapping: Mapping, times: Times) -> None:
    """Refuse times whose day and month, or unit, would have to be guessed."""
    from de_stack.sources.replay.times import question

    kinds = {f.name: f.type for f in contract.fields}
    timely = [c for name, c in mapping.columns.items() if kinds[name] in ("timestamp", "date")]
    if times.form is not None or not timely:
        return
    rows = [r for r in islice(source.rows(timely), _LOOK) if not isinstance(r, bytes)]
    for place, column in enumerate(timely):
        cells = [r[place] for r in rows if isinstance(r[place], str | int | float)]
        if asked := question(cells):
            raise PermanentFailure(
                f"read the times in column {column!r}", *asked, page="ambiguous-times"
            )


def look(contract: Stream, plan: Plan, anyway: bool) -> None:
    """Refuse a file of whose first rows none is good: that is a slip, not a few bad rows."""
    ask(contract, plan.source, plan.mapping, plan.times)
    first = list(next(records(contract, plan).events(plan.source, _LOOK), ()))
    if anyway or not first or any(event.error is None for event in first):
        return
    error = first[0].error or ""
    fix = "correct --map, --set or --time-format"
    if error.startswith(("before_history", "in_future")):
        fix = "--shift-to-now moves all times by whole days"
    raise PermanentFailure(
        f"send {plan.file.name} to {contract.name}",
        f"none of its first {len(first):,} rows is what the contract wants; row {first[0].row}: "
        f"{error}; nothing was sent",
        f"{fix}; --anyway makes dead letters of them",
        page="no-row-fits",
    )


def records(contract: Stream, plan: Plan) -> Records:
    """What makes messages of the file's rows."""
    from de_stack.sources.replay.records import Records, id_prefix

    return Records(
        contract,
        plan.mapping,
        plan.times,
        timedelta(days=plan.shift_days or 0),
        id_prefix(plan.sha256, plan.name),
        lambda: datetime.now(UTC),
    )
