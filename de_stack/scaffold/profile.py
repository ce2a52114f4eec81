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


@dataclass(frozen=True)
class Column:
    """What a column holds.

    `header` is None for a column without a name. `filled` counts the values that are not empty,
    `blanks` those among them that only say that there is none (`NA`); `integers`, `numbers`,
    `booleans` count what can be read so. `padded` says that some have leading zeros, `big` that an
    integer has no exact double. `formats` are the spellings of a time that fit all of them, `first`
    and `last` the bounds by the first such spelling (naive ones as UTC). `kind` is the type where
    the file itself says it.
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

    readers = {
        ".csv": "read_csv(?, all_varchar = true, header = true)",
        ".parquet": "read_parquet(?)",
    }
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise PermanentFailure(
            tried, f"{path.suffix or 'no ending'}", "give a .csv or .parquet", page="new-stream"
        )
    if not path.is_file():
        raise PermanentFailure(tried, "there is no such file", "mind the path", page="new-stream")
    db = duckdb.connect()
    try:
        db.execute("set timezone = 'UTC'")
        db.execute(f"create table t as select * from {reader}", [str(path)])  # noqa: S608
        yield db
    except duckdb.Error as error:
        raise PermanentFailure(
            tried, str(error).splitlines()[0], "mend the file", page="new-stream"
        ) from error
    finally:
        db.close()


def _headers(path: Path, names: list[str]) -> list[str | None]:
    """The columns' own names: DuckDB makes one up for a column that has none."""
    if path.suffix.lower() != ".csv":
        return list(names)
    return [None if re.fullmatch(r"column\d+", name) else name for name in names]


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
        count(*) filter (where isfinite(try_cast({v} as double))),
        count(*) filter (where lower({v}) in ('true', 'false')),
        bool_or(regexp_full_match({v}, '0[0-9]+')),
        bool_or(abs(try_cast({v} as hugeint)) > 9007199254740992
                and regexp_full_match({v}, '[+-]?[0-9]+')),
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
    for form in TIME_FORMATS:
        # Each value has to be spelled so in full; one that does not fit ends the search quickly.
        parsed = f"try_strptime({value}, '{form}')"
        if _one(db, f"select {parsed} from t where {value} is not null limit 1")[0] is None:  # noqa: S608
            continue
        if _one(db, f"select count({parsed}) from t")[0] != filled:  # noqa: S608
            continue
        first, last = _one(
            db,
            f"select min({parsed})::timestamptz, max({parsed})::timestamptz from t",  # noqa: S608
        )
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
    sql = f"select count({quoted}), count(distinct {quoted}) from t"  # noqa: S608
    filled, distinct = _one(db, sql)
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
