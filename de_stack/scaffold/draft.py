"""What a file's columns hold -> a draft of the stream's contract.

Belongs here: choosing names, types, event time, key, grain; pure. Does not belong here: looking at
the file (`profile.py`), writing (`write.py`).

What the file does not say is asked for, never guessed: which of two columns is the event time, or
whether 3/4 is in March or in April.
"""

from __future__ import annotations

import keyword
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from de_stack.contracts.fields import RESERVED
from de_stack.contracts.model import FieldType, Grain
from de_stack.failures import PermanentFailure
from de_stack.scaffold.profile import TIME_FORMATS, Column, Profile
from de_stack.scaffold.spoken_for import spoken_for

# Packages and schemas that are there already.
_NO_DOMAIN = frozenset(("core", "de_stack", "ledger", "public", "information_schema", "main"))
_TIMES = frozenset(("date", "time", "datetime", "timestamp"))
_KEYS = re.compile(r"(^|_)(id|key|code|name|symbol|stock|ticker|sensor|device|station|source)$")
# A number, a date or a time.
_DATA = re.compile(r"[+-]?[0-9][0-9.,:/T Z+-]*")
_MOST_NAME = 40
_KINDS = {
    "timestamp": "times",
    "date": "dates",
    "number": "numbers with fractions",
    "boolean": "true and false",
    "nested": "lists or structs",
}
# `published_` takes `mart_daily_<entity>` for the name of a table.
_MOST_ENTITY = _MOST_NAME - len("mart_daily_")
# Dagster takes 100,000 partitions; ten years of hours are 87,600.
_MOST_PERIODS = 70_000
# Each period is a partition, an event for each of its tables, and a row of the ledger.
_ROWS_PER_PERIOD = 4
# An entity has more than one event, as a rule.
_ROWS_PER_KEY = 2


@dataclass(frozen=True)
class DraftField:
    """A field, and the column that it comes from (None: a constant, set by `replay --set`)."""

    name: str
    type: FieldType
    required: bool
    column: str | None
    longest: int = 0


@dataclass(frozen=True)
class Draft:
    """A contract's facts.

    `skipped` are columns that are left out, with why; `notes` are for a person to mind.
    """

    domain: str
    entity: str
    fields: tuple[DraftField, ...]
    key: str
    time: str
    time_format: str | None
    grain: Grain
    history_start: datetime
    skipped: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[DraftField, ...]:
        """The fields that are summed up."""
        return tuple(
            f for f in self.fields if f.type in ("integer", "number") and f.name != self.key
        )


@dataclass(frozen=True)
class Wishes:
    """What a person has said beforehand; None where the file is to tell."""

    key: str | None = None
    time: str | None = None
    time_format: str | None = None
    grain: Grain | None = None


def draft(domain: str, entity: str, found: Profile, wishes: Wishes, now: datetime) -> Draft:
    """The draft of a contract for a file.

    Raises:
        PermanentFailure: no event time is to be found, or several, or a wish names no column.
    """
    tried = f"draft a contract for {found.path.name}"
    if keyword.iskeyword(domain) or domain in _NO_DOMAIN or domain.startswith("pg_"):
        got = f"domain {domain!r}: Python or Postgres takes it for something else"
        raise PermanentFailure(tried, got, "take another name", page="new-stream")
    if len(entity) > _MOST_ENTITY:
        got = f"{entity!r} has {len(entity)} characters, tables are called after it"
        raise PermanentFailure(tried, got, f"{_MOST_ENTITY} at most", page="new-stream")
    named = {c.header: c for c in found.columns if c.header is not None}
    if data := [h for h in named if _DATA.fullmatch(h.strip())]:
        got = f"its first line holds {data[0]!r}: that is no name of a column"
        raise PermanentFailure(tried, got, "give the file a header", page="new-stream")
    for wish in (wishes.key, wishes.time):
        if wish is not None and wish not in named:
            raise PermanentFailure(
                tried, f"no column {wish!r}", f"one of: {', '.join(named)}", page="new-stream"
            )
    skipped = [
        (f"column {c.position + 1}", "it has no name") for c in found.columns if c.header is None
    ]
    skipped += [
        (h, "it holds lists or structs" if c.kind == "nested" else "it has no values")
        for h, c in named.items()
        if not _filled(c)
    ]
    columns = [c for c in named.values() if _filled(c)]
    time = _event_time(tried, found, columns, wishes)
    names = _names(columns, time)
    fields = [
        DraftField(
            names[c.header or ""],
            "timestamp" if c is time else _type(c),
            (c.filled if _type(c) == "string" else _filled(c)) == found.rows,
            c.header,
            c.longest,
        )
        for c in columns
    ]
    key = _key(found, columns, wishes, time)
    if key is None:
        # Kafka needs a key, and a file of one entity has no column for it.
        taken = {f.name for f in fields}
        key_name = next(n for n in ("source_id", "stream_id", "file_source_id") if n not in taken)
        fields.insert(0, DraftField(key_name, "string", True, None, len(found.path.stem)))
    else:
        key_name = names[key.header or ""]
    assert time.first is not None and time.last is not None  # noqa: S101 - it has times
    # A local time on the first of January may be one of the year before.
    start = (time.first.astimezone(UTC) - timedelta(days=1)).replace(
        month=1, day=1, hour=0, minute=0, second=0, microsecond=0
    )
    return Draft(
        domain, entity, tuple(fields), key_name, names[time.header or ""],
        wishes.time_format or next(iter(time.formats), None),
        wishes.grain or _grain(found.rows, start, time.first, time.last, now),
        start, tuple(skipped), tuple(_notes(columns, time, now)),
    )  # fmt: skip


def snake(header: str) -> str:
    """`Max_TemperatureC` -> `max_temperature_c`; a name that every system takes, or empty."""
    text = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", header)
    text = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    if text and not text[0].isalpha():
        text = f"n_{text}"
    return text[:_MOST_NAME].rstrip("_")


def _filled(column: Column) -> int:
    return column.filled - column.blanks


def _type(column: Column) -> FieldType:
    if column.kind is not None:
        return column.kind  # type: ignore[return-value]
    values = _filled(column)
    if column.integers == values and not (column.padded or column.signed or column.big):
        return "integer"
    if column.numbers == values and column.integers < values and not (column.padded or column.big):
        return "number"
    if column.booleans == values:
        return "boolean"
    # A date or a time is only typed so where it is the event time: its spelling may be another
    # than the contract's, and a text keeps it as it is.
    return "string"


def _notes(columns: list[Column], time: Column, now: datetime) -> list[str]:
    found = [
        f"{c.header}: {c.example!r} is a number with a decimal comma, and stays a text"
        for c in columns
        if c.kind is None and c.commas and c.commas + c.integers == _filled(c)
    ]
    if time.last is not None and time.last > now:
        found.append(
            f"{time.header}: the last time, {time.last:%Y-%m-%d %H:%M}, is in the future: such "
            "rows become dead letters"
        )
    return found


def _event_time(tried: str, found: Profile, columns: list[Column], wishes: Wishes) -> Column:
    times = [c for c in columns if c.formats or c.kind in ("date", "timestamp")]
    if wishes.time is not None:
        chosen = next((c for c in columns if c.header == wishes.time), None)
        if chosen is None or chosen not in times:
            shown = f" ({chosen.example!r})" if chosen is not None and chosen.example else ""
            got = f"column {wishes.time!r} holds no times that are all spelled in one known way"
            raise PermanentFailure(tried, got + shown, _spellings(), page="new-stream")
    else:
        whole = [c for c in times if _filled(c) == found.rows]
        # A date beside a time says less.
        exact = [c for c in whole if c.kind == "timestamp" or _has_hours(c)]
        candidates = exact or whole
        if not candidates:
            gaps = [f"{c.header} is empty in {found.rows - _filled(c)} rows" for c in times]
            shown = [f"{c.header}: {c.example!r}" if c.example else str(c.header) for c in columns]
            got = f"no column holds a time in every row ({'; '.join(gaps or shown[:12])})"
            fix = "mend the empty ones" if gaps else _spellings()
            raise PermanentFailure(
                tried, got, f"a stream needs an event time: {fix}", page="new-stream"
            )
        if len(candidates) > 1:
            listed = ", ".join(c.header or "" for c in candidates)
            raise PermanentFailure(
                tried,
                f"several columns could be the event time: {listed}",
                "--time COLUMN",
                page="new-stream",
            )
        chosen = candidates[0]
    if _filled(chosen) < found.rows:
        got = f"column {chosen.header!r} is empty in {found.rows - _filled(chosen)} rows"
        raise PermanentFailure(
            tried, got, "an event time must be there in every row", page="new-stream"
        )
    if wishes.time_format:
        if wishes.time_format not in chosen.formats:
            known = ", ".join(chosen.formats) or "none"
            got = f"--time-format {wishes.time_format!r} does not fit every {chosen.header!r}"
            raise PermanentFailure(tried, got, f"these do: {known}", page="new-stream")
    elif len({_order(form) for form in chosen.formats}) > 1:
        listed = " or ".join(repr(form) for form in chosen.formats)
        got = f"{chosen.header!r} may be read as {listed}: no day in it is over 12"
        raise PermanentFailure(tried, got, "--time-format FORMAT", page="new-stream")
    return chosen


def _spellings() -> str:
    known = ", ".join(form for form in TIME_FORMATS if not form.endswith(("z", "Z", "f")))
    return f"--time-format FORMAT (strptime's, or s, ms, us); known: ISO 8601, {known}"


def _order(form: str) -> str:
    return "".join(part for part in re.findall(r"%([YmdHMS])", form) if part in "Ymd")


def _has_hours(column: Column) -> bool:
    return any("%H" in form for form in column.formats)


def _names(columns: list[Column], time: Column) -> dict[str, str]:
    """Header -> field name, none of them twice, none that something else has."""
    found: dict[str, str] = {}
    for column in columns:
        header = column.header or ""
        name = snake(header) or f"column_{column.position + 1}"
        if column is time and name in _TIMES:
            name = "observed_at"
        elif name in RESERVED or name in spoken_for():
            name = f"file_{name}"[:_MOST_NAME]
        number, wanted = 2, name
        while name in found.values():
            name = f"{wanted[: _MOST_NAME - 3]}_{number}"
            number += 1
        found[header] = name
    return found


def _key(found: Profile, columns: list[Column], wishes: Wishes, time: Column) -> Column | None:
    if wishes.key is not None:
        chosen = next(c for c in found.columns if c.header == wishes.key)
        kind = (
            "timestamp"
            if chosen is time
            else "nested"
            if chosen.kind == "nested"
            else _type(chosen)
        )
        if kind not in ("string", "integer"):
            got = f"column {wishes.key!r} holds {_KINDS[kind]}"
            fix = "a key is a text or a whole number"
            raise PermanentFailure("choose the key", got, fix, page="new-stream")
        there = chosen.filled if kind == "string" else _filled(chosen)
        if there < found.rows:
            got = f"column {wishes.key!r} is empty in {found.rows - there} rows"
            raise PermanentFailure(
                "choose the key", got, "a key must be there in every row", page="new-stream"
            )
        return chosen
    whole = [
        c
        for c in columns
        if c is not time
        and _filled(c) == found.rows
        and c.distinct * _ROWS_PER_KEY <= found.rows
        and _type(c) in ("string", "integer")
    ]
    called = [c for c in whole if _KEYS.search(snake(c.header or ""))]
    return called[0] if called else None


def _grain(rows: int, start: datetime, first: datetime, last: datetime, now: datetime) -> Grain:
    """The finest whose periods hold some rows each, and are not too many for Dagster."""
    hours = max((last - first).total_seconds() / 3600, 1.0)
    most = max((max(last, now) - start).total_seconds() / 3600, 1.0)
    if rows / hours >= _ROWS_PER_PERIOD and most <= _MOST_PERIODS:
        return "hour"
    days = rows / max(hours / 24, 1.0) >= _ROWS_PER_PERIOD and most / 24 <= _MOST_PERIODS
    return "day" if days else "month"
