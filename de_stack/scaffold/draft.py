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
from datetime import UTC, datetime

from de_stack.contracts.fields import RESERVED
from de_stack.contracts.model import FieldType, Grain
from de_stack.failures import PermanentFailure
from de_stack.scaffold.profile import Column, Profile

# Words that SQL or Spark would take for something else where a name may stand without quotes, and
# what the columns of statistics are called.
_SPOKEN_FOR = frozenset(
    """
    all analyse analyze and anti any array as asc asof asymmetric at authorization between binary
    both by case cast check collate collation column concurrently constraint count create cross
    current date datetime day default deferrable desc describe distinct do drop else end except
    exists false fetch for foreign freeze from full glob group having hour if ilike in initially
    inner intersect interval into is isnull join lambda lateral leading left like limit map month
    natural not notnull null offset on only or order outer overlaps pivot pivot_longer pivot_wider
    placing positional primary qualify references returning right row rows select semi set show
    similar some struct summarize symmetric table tablesample then time timestamp to trailing true
    union unique unpack unpivot update user using values variadic verbose when where window
    window_end window_start with year
    """.split()  # noqa: SIM905 - a list of so many would be longer than it is wide
)
# Packages and schemas that are there already.
_NO_DOMAIN = frozenset(("core", "de_stack", "ledger", "public", "information_schema", "main"))
_TIMES = frozenset(("date", "time", "datetime", "timestamp"))
_KEYS = re.compile(r"(^|_)(id|key|code|name|symbol|stock|ticker|sensor|device|station|source)$")
# A number, a date or a time.
_DATA = re.compile(r"[+-]?[0-9][0-9.,:/T Z+-]*")
_MOST_NAME = 40
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
    """A contract's facts. `skipped` are columns that are left out, with why."""

    domain: str
    entity: str
    fields: tuple[DraftField, ...]
    key: str
    time: str
    time_format: str | None
    grain: Grain
    history_start: datetime
    skipped: tuple[tuple[str, str], ...]

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
    skipped += [(h, "it has parts of its own") for h, c in named.items() if c.kind == "nested"]
    named = {h: c for h, c in named.items() if c.kind != "nested"}
    skipped += [(h, "it has no values") for h, c in named.items() if not _filled(c)]
    columns = [c for c in named.values() if _filled(c)]
    time = _event_time(tried, found, columns, wishes)
    names = _names(columns, time)
    fields = [
        DraftField(
            names[c.header or ""],
            "timestamp" if c is time else _type(c),
            _is_whole(c, found.rows),
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
        fields.insert(0, DraftField(key_name, "string", required=True, column=None))
    else:
        key_name = names[key.header or ""]
    assert time.first is not None and time.last is not None  # noqa: S101 - it has times
    start = time.first.astimezone(UTC).replace(
        month=1, day=1, hour=0, minute=0, second=0, microsecond=0
    )
    return Draft(
        domain, entity, tuple(fields), key_name, names[time.header or ""],
        wishes.time_format or next(iter(time.formats), None),
        wishes.grain or _grain(found.rows, start, time.first, time.last, now),
        start, tuple(skipped),
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


def _is_whole(column: Column, rows: int) -> bool:
    """True when every row has a value; `NA` is one for a text only."""
    return (column.filled if _type(column) == "string" else _filled(column)) == rows


def _type(column: Column) -> FieldType:
    if column.kind is not None:
        return column.kind  # type: ignore[return-value]
    values = _filled(column)
    if column.integers == values and not column.padded:
        return "integer"
    # A whole number that does not fit 64 bits is a name: as a number it would be another's, too.
    if column.numbers == values and not (column.padded or column.big):
        return "number"
    if column.booleans == values:
        return "boolean"
    # A date or a time is only typed so where it is the event time: its spelling may be another
    # than the contract's, and a text keeps it as it is.
    return "string"


def _event_time(tried: str, found: Profile, columns: list[Column], wishes: Wishes) -> Column:
    times = [c for c in columns if c.formats or c.kind in ("date", "timestamp")]
    if wishes.time is not None:
        chosen = next((c for c in columns if c.header == wishes.time), None)
        if chosen is None or chosen not in times:
            got = f"column {wishes.time!r} holds no times that are all spelled in one known way"
            raise PermanentFailure(
                tried, got, "spell them as 2026-05-01T12:00:00Z, say", page="new-stream"
            )
    else:
        whole = [c for c in times if _filled(c) == found.rows]
        # A date beside a time says less.
        exact = [c for c in whole if c.kind == "timestamp" or _has_hours(c)]
        candidates = exact or whole
        if not candidates:
            listed = ", ".join(c.header or "" for c in columns)
            got = f"no column holds a time in every row (columns: {listed})"
            raise PermanentFailure(
                tried,
                got,
                "a stream needs an event time in every row, spelled as 2026-05-01T12:00:00Z, say; "
                "--time COLUMN says why one is none",
                page="new-stream",
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
        if name in _TIMES and column is time:
            name = "observed_at"
        elif name in RESERVED or name in _SPOKEN_FOR:
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
        if chosen is time or _type(chosen) not in ("string", "integer"):
            got = f"column {wishes.key!r} holds times, numbers with fractions, or true and false"
            raise PermanentFailure(
                "choose the key", got, "a key is a text or a whole number", page="new-stream"
            )
        if not _is_whole(chosen, found.rows):
            got = f"column {wishes.key!r} is empty in {found.rows - _filled(chosen)} rows"
            raise PermanentFailure(
                "choose the key", got, "a key must be there in every row", page="new-stream"
            )
        return chosen
    whole = [
        c
        for c in columns
        if c is not time
        and _is_whole(c, found.rows)
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
