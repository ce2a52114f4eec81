"""A file -> what its columns hold, by one look at all rows.

Belongs here: counting which types fit. Does not belong here: reading the file (`tables.py`), what
becomes of a column (`draft.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure
from de_stack.scaffold.tables import How, excerpt_of, table
from de_stack.sources.replay.times import EPOCHS, Times
from de_stack.sources.replay.values import NOTHING

if TYPE_CHECKING:
    import duckdb

# Most specific first. Of two that fit every value the file does not say which it is.
TIME_FORMATS = (
    "%Y-%m-%dT%H:%M:%S%z",
    "%Y-%m-%d %H:%M:%S%z",
    "%Y-%m-%dT%H:%M:%S.%f%z",
    "%Y-%m-%d %H:%M:%S.%f%z",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%dT%H:%M:%S.%fZ",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%d %H:%M:%S.%f",
    "%Y-%m-%dT%H:%M:%S.%f",
    "%Y-%m-%d %H:%M",
    "%Y/%m/%d %H:%M:%S",
    "%Y/%m/%d %H:%M",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%d.%m.%Y %H:%M:%S",
    "%d.%m.%Y %H:%M",
    "%Y-%m-%d",
    "%Y/%m/%d",
    "%Y%m%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d.%m.%Y",
)
# What people write as dates may be numbers, too: eight digits that are a day of these years.
_PLAIN = "%Y%m%d"
_YEARS = (1900, 2100)
# DuckDB reads `15/1/24` as a day of the year 24.
_FIRST_YEAR = 1000
_NUMBER = r"[+-]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][+-]?[0-9]+)?"
_COMMA = r"[+-]?([0-9]+|[0-9]{1,3}([.][0-9]{3})+),[0-9]+"
_FLOATS = ("FLOAT", "DOUBLE")


@dataclass(frozen=True)
class Column:
    """What a column holds.

    `header` is None for a column without a name. `filled` counts the values that are not empty,
    `blanks` those among them that only say that there is none (`NA`); `integers`, `numbers`,
    `booleans` count what can be read so. `padded` says that some have leading zeros,
    `signed` that some are written as telephone numbers are, `big` that a whole one has no room in
    64 bits; `commas` counts numbers with a decimal comma, `example` is the first value. `formats`
    are the spellings of a time that fit all of them, `first` and `last` the bounds by the first
    such spelling (naive ones as UTC). `kind` is the type where the file itself says it; `nested` is
    one that no field has.
    """

    header: str | None
    position: int
    filled: int
    distinct: int
    integers: int = 0
    numbers: int = 0
    booleans: int = 0
    padded: bool = False
    signed: bool = False
    big: bool = False
    commas: int = 0
    example: str = ""
    blanks: int = 0
    longest: int = 0
    formats: tuple[str, ...] = ()
    first: datetime | None = None
    last: datetime | None = None
    kind: str | None = None


@dataclass(frozen=True)
class Profile:
    """A file: its rows and its columns, in order."""

    path: Path
    rows: int
    columns: tuple[Column, ...]
    how: How = field(default_factory=How)


def profile(path: Path, how: How | None = None, time_format: str | None = None) -> Profile:
    """Look at all rows of a CSV (with a header) or Parquet file.

    `time_format` is one that is looked for beside those that are known, as `replay` has it.

    Raises:
        PermanentFailure: the file cannot be read, has no rows, or is of another kind.
    """
    tried = f"look at {path}"
    how = how or How()
    with table(path, how, tried) as found:
        rows = _one(found.db, "select count(*) from t")[0]
        if not rows:
            raise PermanentFailure(
                tried, "it has no rows", "a header and some rows are needed", page="new-stream"
            )
        columns = tuple(
            _column(found.db, name, header, position, kind, time_format)
            for position, (name, header, kind) in enumerate(
                zip(found.columns, found.headers, found.kinds, strict=True)
            )
        )
    return Profile(path, rows, columns, how)


def excerpt(found: Profile, to: Path, rows: int) -> None:
    """Write the first rows of a file as CSV, header included.

    Raises:
        PermanentFailure: the file cannot be read.
    """
    excerpt_of(found.path, found.how, to, rows)


def _column(
    db: duckdb.DuckDBPyConnection,
    name: str,
    header: str | None,
    position: int,
    kind: str,
    form: str | None,
) -> Column:
    if kind != "VARCHAR":
        return _typed(db, name, header, position, kind, form)
    # In a column of texts it is a text like any other.
    listed = ", ".join(f"'{word}'" for word in sorted(NOTHING))
    text = f"nullif(trim({name}), '')"
    v = f"(case when lower({text}) in ({listed}) then null else {text} end)"
    whole = f"regexp_full_match({v}, '[+-]?[0-9]+')"
    sql = f"""
        select count({text}), count(distinct {text}), count({text}) - count({v}),
        count(*) filter (where {whole}),
        count(*) filter (where isfinite(try_cast({v} as double))
                         and regexp_full_match({v}, '{_NUMBER}')),
        count(*) filter (where lower({v}) in ('true', 'false')),
        bool_or(regexp_full_match({v}, '[+-]?0[0-9]+')),
        bool_or(regexp_full_match({v}, '[+][0-9]{{7,}}')),
        bool_or({whole} and try_cast({v} as bigint) is null),
        count(*) filter (where regexp_full_match({v}, '{_COMMA}')),
        coalesce(first({v}) filter (where {v} is not null), ''), max(length({name}))
        from t
    """  # noqa: S608 - the name is ours
    filled, distinct, blanks, integers, numbers, booleans, *more = _one(db, sql)
    padded, signed, big, commas, example, longest = more
    formats, first, last = (), None, None
    if filled > blanks:
        formats, first, last = _times(db, v, filled - blanks)
        if form is not None and (wished := _wished(db, v, form)):
            formats, (first, last) = (form, *(f for f in formats if f != form)), wished
    return Column(
        header, position, filled, distinct, integers, numbers, booleans, bool(padded),
        bool(signed), bool(big), commas, example, blanks, longest or 0, formats, first, last,
    )  # fmt: skip


def _wished(
    db: duckdb.DuckDBPyConnection, value: str, form: str
) -> tuple[datetime, datetime] | None:
    """First and last time by a format of `replay`'s; None where a value is spelled otherwise."""
    times, first, last = Times(form), None, None
    cells = db.execute(f"select distinct {value} from t where {value} is not null")  # noqa: S608
    while batch := cells.fetchmany(10_000):
        found = [times.read(cell) for (cell,) in batch]
        moments = [moment for moment in found if moment is not None]
        if len(moments) < len(found):
            return None
        first = min(moments if first is None else [first, *moments])
        last = max(moments if last is None else [last, *moments])
    return None if first is None or last is None else (first, last)


def _times(
    db: duckdb.DuckDBPyConnection, value: str, filled: int
) -> tuple[tuple[str, ...], datetime | None, datetime | None]:
    fits = []
    # The first value rules out most of them, in one question.
    each = ", ".join(f"try_strptime({value}, '{form}')" for form in TIME_FORMATS)
    read = _one(db, f"select {each} from t where {value} is not null limit 1")  # noqa: S608
    for form in (f for f, time in zip(TIME_FORMATS, read, strict=True) if time is not None):
        # Each value has to be spelled so in full.
        parsed = f"try_strptime({value}, '{form}')"
        if _one(db, f"select count({parsed}) from t")[0] != filled:  # noqa: S608
            continue
        first, last = _one(
            db,
            f"select min({parsed})::timestamptz, max({parsed})::timestamptz from t",  # noqa: S608
        )
        if first.year < _FIRST_YEAR:
            continue
        if form == _PLAIN and not (_YEARS[0] <= first.year and last.year <= _YEARS[1]):
            continue
        fits.append((form, first, last))
    if not fits:
        return (), None, None
    return tuple(form for form, _, _ in fits), fits[0][1], fits[0][2]


def _typed(
    db: duckdb.DuckDBPyConnection,
    name: str,
    header: str | None,
    position: int,
    kind: str,
    form: str | None,
) -> Column:
    """A column of a file that says its types itself."""
    if kind.endswith("]") or kind.startswith(("STRUCT", "MAP", "UNION")):
        return Column(header, position, 0, 0, kind="nested")
    base = kind.split("(")[0]
    kinds = {
        **dict.fromkeys(("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT"), "integer"),
        **dict.fromkeys(("USMALLINT", "UINTEGER"), "integer"),
        **dict.fromkeys(("FLOAT", "DOUBLE", "DECIMAL"), "number"),
        "BOOLEAN": "boolean",
        "DATE": "date",
        **dict.fromkeys(("TIMESTAMP", "TIMESTAMP WITH TIME ZONE"), "timestamp"),
        **dict.fromkeys(("TIMESTAMP_NS", "TIMESTAMP_MS", "TIMESTAMP_S"), "timestamp"),
    }
    found = kinds.get(base, "string")
    # What is no number is there, and says that there is none.
    value = f"case when not isnan({name}) then {name} end" if base in _FLOATS else name
    sql = f"select count({value}), count(distinct {value}) from t"  # noqa: S608
    filled, distinct = _one(db, sql)
    formats, first, last = (), None, None
    if found in ("date", "timestamp") and filled:
        first, last = _one(
            db,
            f"select min({name})::timestamptz, max({name})::timestamptz from t",  # noqa: S608
        )
    elif found in ("integer", "number") and form in EPOCHS and filled:
        assert form is not None  # noqa: S101 - it is one of them
        if wished := _wished(db, f"({value})", form):
            formats, (first, last) = (form,), wished
    return Column(
        header, position, filled, distinct, formats=formats, first=first, last=last, kind=found
    )


def _one(db: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    row = db.execute(sql).fetchone()
    assert row is not None  # noqa: S101 - an aggregate, or a row that was asked for
    return row
