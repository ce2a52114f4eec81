"""A file -> what its columns hold, by one look at all rows.

Belongs here: reading CSV and Parquet through DuckDB, counting which types fit. Does not belong
here: what becomes of a column (`draft.py`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure
from de_stack.sources.replay.csv_file import CsvFile
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
_FIRST_YEAR = 1000
_FLOATS = ("FLOAT", "DOUBLE")


@dataclass(frozen=True)
class Column:
    """What a column holds.

    `header` is None for a column without a name. `filled` counts the values that are not empty,
    `blanks` those among them that only say that there is none (`NA`); `integers`, `numbers`,
    `booleans` count what can be read so. `padded` says that some have leading zeros, or are written
    as telephone numbers are; `big` that a whole number does not fit 64 bits. `formats` are the
    spellings of a time that fit all of them, `first` and `last` the bounds by the first such
    spelling (naive ones as UTC). `kind` is the type where the file itself says it; `nested` is one
    that no field has.
    """

    header: str | None
    position: int
    filled: int
    distinct: int
    integers: int = 0
    numbers: int = 0
    booleans: int = 0
    padded: bool = False
    big: bool = False
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


def profile(path: Path) -> Profile:
    """Look at all rows of a CSV (with a header) or Parquet file.

    Raises:
        PermanentFailure: the file cannot be read, has no rows, or is of another kind.
    """
    tried = f"look at {path}"
    with _opened(path, tried) as db:
        rows = _one(db, "select count(*) from t")[0]
        if not rows:
            raise PermanentFailure(
                tried, "it has no rows", "a header and some rows are needed", page="new-stream"
            )
        names = [row[0] for row in db.execute("describe t").fetchall()]
        kinds = [row[1] for row in db.execute("describe t").fetchall()]
        headers = _headers(path, names)
        columns = tuple(
            _column(db, name, header, position, kind)
            for position, (name, header, kind) in enumerate(zip(names, headers, kinds, strict=True))
        )
    return Profile(path, rows, columns)


def excerpt(path: Path, to: Path, rows: int) -> None:
    """Write the first rows of a file as CSV, header included.

    Raises:
        PermanentFailure: the file cannot be read.
    """
    with _opened(path, f"read {path}") as db:
        headers = _headers(path, [row[0] for row in db.execute("describe t").fetchall()])
        found = db.execute("select * from t limit ?", [rows]).fetchall()
    import csv

    with to.open("w", encoding="utf-8", newline="") as file:
        out = csv.writer(file, lineterminator="\n")
        out.writerow([header or "" for header in headers])
        out.writerows(["" if value is None else value for value in row] for row in found)


@contextmanager
def _opened(path: Path, tried: str) -> Iterator[duckdb.DuckDBPyConnection]:
    import duckdb

    if path.suffix.lower() not in (".csv", ".parquet"):
        raise PermanentFailure(
            tried, f"{path.suffix or 'no ending'}", "give a .csv or .parquet", page="new-stream"
        )
    if not path.is_file():
        raise PermanentFailure(tried, "there is no such file", "mind the path", page="new-stream")
    db = duckdb.connect()
    try:
        db.execute("set timezone = 'UTC'")
        reader, given = _reader(path)
        db.execute(f"create table t as select * from {reader}", given)  # noqa: S608
        yield db
    except duckdb.Error as error:
        # The first line says where, the next two what is there and what should be.
        got = " ".join(line.strip() for line in str(error).splitlines()[:3])
        raise PermanentFailure(tried, got, "mend the file", page="new-stream") from error
    finally:
        db.close()


def _reader(path: Path) -> tuple[str, dict[str, Any]]:
    """DuckDB's call for a file. Of a CSV it guesses nothing: `replay` says how it is read."""
    if path.suffix.lower() == ".parquet":
        return "read_parquet($path)", {"path": str(path)}
    file = CsvFile(path)
    # By position: DuckDB takes `a` and `A` for one name.
    names = ", ".join(f"c{place}: 'VARCHAR'" for place in range(len(file.columns)))
    form = "auto_detect = false, header = true, quote = '\"', escape = '\"', comment = '', skip = 0"
    reader = f"read_csv($path, columns = {{{names}}}, delim = $delimiter, {form})"
    return reader, {"path": str(path), "delimiter": file.delimiter}


def _headers(path: Path, names: list[str]) -> list[str | None]:
    """The columns' own names; None for one that has none, for which `replay` makes one up."""
    if path.suffix.lower() != ".csv":
        return list(names)
    columns = CsvFile(path).columns
    made_up = {name for name in columns if re.fullmatch(r"column\d+", name)}
    if len(made_up) == len(columns):
        return list(columns)
    return [None if name in made_up else name for name in columns]


def _column(
    db: duckdb.DuckDBPyConnection, name: str, header: str | None, position: int, kind: str
) -> Column:
    quoted = '"' + name.replace('"', '""') + '"'
    if kind != "VARCHAR":
        return _typed(db, quoted, header, position, kind)
    # In a column of texts it is a text like any other.
    listed = ", ".join(f"'{word}'" for word in sorted(NOTHING))
    text = f"nullif(trim({quoted}), '')"
    v = f"(case when lower({text}) in ({listed}) then null else {text} end)"
    sql = f"""
        select count({text}), count(distinct {text}), count({text}) - count({v}),
        count(try_cast({v} as bigint)) filter (where regexp_full_match({v}, '[+-]?[0-9]+')),
        count(*) filter (where isfinite(try_cast({v} as double)) and not contains({v}, '_')),
        count(*) filter (where lower({v}) in ('true', 'false')),
        bool_or(regexp_full_match({v}, '0[0-9]+|[+][0-9]{{7,}}')),
        bool_or(try_cast({v} as bigint) is null and regexp_full_match({v}, '[+-]?[0-9]+')),
        max(length({quoted}))
        from t
    """  # noqa: S608 - the name is quoted
    filled, distinct, blanks, integers, numbers, booleans, padded, big, longest = _one(db, sql)
    formats, first, last = _times(db, v, filled - blanks) if filled > blanks else ((), None, None)
    return Column(
        header, position, filled, distinct, integers, numbers, booleans,
        bool(padded), bool(big), blanks, longest or 0, formats, first, last,
    )  # fmt: skip


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
        # DuckDB reads the year 24 where two digits stand for 2024.
        if first.year < _FIRST_YEAR:
            continue
        if form == _PLAIN and not (_YEARS[0] <= first.year and last.year <= _YEARS[1]):
            continue
        fits.append((form, first, last))
    if not fits:
        return (), None, None
    return tuple(form for form, _, _ in fits), fits[0][1], fits[0][2]


def _typed(
    db: duckdb.DuckDBPyConnection, quoted: str, header: str | None, position: int, kind: str
) -> Column:
    """A column of a file that says its types itself."""
    base = kind.split("(")[0]
    if base in ("STRUCT", "MAP", "UNION") or kind.endswith("]"):
        return Column(header, position, 0, 0, kind="nested")
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
    # Not a number is no value: no JSON has one.
    value = f"case when isnan({quoted}) then null else {quoted} end" if base in _FLOATS else quoted
    filled, distinct = _one(db, f"select count({value}), count(distinct {value}) from t")  # noqa: S608
    first = last = None
    if found in ("date", "timestamp") and filled:
        first, last = _one(
            db,
            f"select min({quoted})::timestamptz, max({quoted})::timestamptz from t",  # noqa: S608
        )
    return Column(header, position, filled, distinct, first=first, last=last, kind=found)


def _one(db: duckdb.DuckDBPyConnection, sql: str) -> tuple[Any, ...]:
    row = db.execute(sql).fetchone()
    assert row is not None  # noqa: S101 - an aggregate, or a row that was asked for
    return row
