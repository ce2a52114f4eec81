"""A file -> the draft of a contract -> files. Belongs here: choosing, asking, writing all or none.

Does not belong here: running what was written (`integration/test_new_stream.py`).
"""

from __future__ import annotations

import ast
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from de_stack.contracts import ContractError, load_file
from de_stack.failures import PermanentFailure
from de_stack.scaffold.draft import Draft, Wishes, draft, snake
from de_stack.scaffold.profile import Column, Profile, profile
from de_stack.scaffold.write import folders, write

NOW = datetime(2026, 11, 25, tzinfo=UTC)
WEATHER = "Date,Max_TemperatureC,Mean_TemperatureC\n" + "".join(
    f"{1 + i // 28}/{1 + i % 28}/1948,{i % 30},{'NA' if i == 7 else i % 20}\n" for i in range(200)
)


def drafted(tmp_path: Path, text: str, name: str = "file.csv", **wishes: str) -> Draft:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return draft("lab", "things", profile(path), Wishes(**wishes), NOW)  # type: ignore[arg-type]


def rows(header: str, *columns: list[str]) -> str:
    return "\n".join([header, *(",".join(row) for row in zip(*columns, strict=True))]) + "\n"


def times(step: timedelta, count: int, form: str, start: str = "2026-05-01") -> list[str]:
    first = datetime.fromisoformat(start)
    return [(first + step * i).strftime(form) for i in range(count)]


def checkout(tmp_path: Path) -> Path:
    for folder in ("de_stack/defs", "dbt_project/models", "de_stack_tests/domains"):
        (tmp_path / "root" / folder).mkdir(parents=True)
    return tmp_path / "root"


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("Max_TemperatureC", "max_temperature_c"),
        ("AdjClose", "adj_close"),
        ("HTTPStatus", "http_status"),
        ("ID", "id"),
        ("Salary Estimate (USD)", "salary_estimate_usd"),
        ("2nd", "n_2nd"),
        ("größe", "gr_e"),
        ("  ", ""),
        ("x" * 50, "x" * 40),
    ],
)
def test_headers_become_names_that_every_system_takes(header: str, name: str) -> None:
    assert snake(header) == name


def test_a_day_a_row_of_one_entity(tmp_path) -> None:
    found = drafted(tmp_path, WEATHER)
    assert (found.key, found.time, found.time_format) == ("source_id", "observed_at", "%m/%d/%Y")
    assert (found.grain, found.history_start) == ("month", datetime(1948, 1, 1, tzinfo=UTC))
    facts = {f.name: (f.type, f.required, f.column) for f in found.fields}
    assert facts == {
        "source_id": ("string", True, None),
        "observed_at": ("timestamp", True, "Date"),
        "max_temperature_c": ("integer", True, "Max_TemperatureC"),
        # NA says that there is none: a number that may be missing, not a text.
        "mean_temperature_c": ("integer", False, "Mean_TemperatureC"),
    }


def test_the_key_is_the_column_that_is_called_so_and_repeats(tmp_path) -> None:
    at = times(timedelta(minutes=5), 100, "%Y-%m-%d %H:%M:%S")
    ids, names = [str(i) for i in range(100)], [f"s{i % 4}" for i in range(100)]
    found = drafted(tmp_path, rows("row_id,sensor,at,v", ids, names, at, ids))
    # row_id is called so, too, but no two rows have the same.
    assert (found.key, found.grain) == ("sensor", "hour")
    wished = drafted(tmp_path, rows("row_id,sensor,at,v", ids, names, at, ids), key="row_id")
    assert wished.key == "row_id"


def test_hours_that_dagster_could_not_hold_become_days(tmp_path) -> None:
    at = times(timedelta(minutes=5), 100, "%Y-%m-%d %H:%M:%S", "2013-05-01")
    found = drafted(tmp_path, rows("at,v", at, ["1.5"] * 100))
    assert found.grain == "day"


def test_types_are_those_that_every_value_has(tmp_path) -> None:
    at = times(timedelta(hours=1), 4, "%Y-%m-%dT%H:%M:%SZ")
    columns = {
        "whole": ["1", "-2", "+3", ""],
        "half": ["1", "2.5", "-1e3", "4"],
        "padded": ["007", "010", "1", "2"],
        "truth": ["true", "FALSE", "true", "false"],
        "mixed": ["1", "x", "2", "3"],
        "not_finite": ["1.5", "inf", "2.5", "3"],
    }
    text = rows(",".join(["at", *columns]), at, *columns.values())
    facts = {f.name: (f.type, f.required) for f in drafted(tmp_path, text).fields}
    assert facts["whole"] == ("integer", False)
    assert facts["half"] == ("number", True)
    assert facts["padded"] == ("string", True)
    assert facts["truth"] == ("boolean", True)
    assert facts["mixed"] == facts["not_finite"] == ("string", True)


def test_names_that_are_spoken_for_get_others(tmp_path) -> None:
    at = times(timedelta(days=1), 3, "%Y-%m-%d")
    found = drafted(tmp_path, rows("date,offset,Order,order_,,at x", at, *[["1", "2", "3"]] * 5))
    names = {f.column: f.name for f in found.fields}
    assert names["date"] == "observed_at"
    assert names["offset"] == "file_offset"
    assert len(set(names.values())) == len(names)
    assert found.skipped == (("column 5", "it has no name"),)


@pytest.mark.parametrize(
    ("text", "wishes", "got", "fix"),
    [
        ("a,b\nx,1\n", {}, "no column holds a time", "event time"),
        ("d\n3/4/2026\n5/6/2026\n", {}, "%d/%m/%Y", "--time-format"),
        ("a,b\n2026-01-01,2026-01-02\n", {}, "several columns", "--time"),
        ("a,b\n2026-01-01,2026-01-02\n", {"time": "c"}, "no column 'c'", "a, b"),
        ("a,b\n2026-01-01,1\n", {"time": "b"}, "holds no times", ""),
        ("a,b\n2026-01-01,1\n", {"time_format": "%d/%m/%Y"}, "does not fit", "%Y-%m-%d"),
        ("a,b\n2026-01-01,1\n,2\n", {}, "no column holds a time in every row", ""),
        ("a,b\n2026-01-01,1\n2026-01-02,\n", {"key": "b"}, "empty in 1", ""),
        (
            "x,158.84,2018-08-21 21:01:11.061\ny,1,2018-08-21 21:01:12.061\n",
            {},
            "no name",
            "header",
        ),
        ("a,b\n", {}, "no rows", "rows"),
    ],
)
def test_what_the_file_does_not_say_is_asked_for(
    tmp_path, text: str, wishes: dict[str, str], got: str, fix: str
) -> None:
    with pytest.raises(PermanentFailure) as caught:
        drafted(tmp_path, text, **wishes)
    assert got in str(caught.value)
    assert fix in str(caught.value)


@pytest.mark.parametrize("domain", ["class", "pg_things", "public", "core"])
def test_a_domain_that_something_else_has_is_refused(tmp_path, domain: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text(WEATHER)
    with pytest.raises(PermanentFailure, match="another name"):
        draft(domain, "things", profile(path), Wishes(), NOW)


def test_a_file_of_another_kind_is_refused(tmp_path) -> None:
    (tmp_path / "x.xlsx").write_text("")
    for path, got in ((tmp_path / "x.xlsx", ".csv or .parquet"), (tmp_path / "y.csv", "no such")):
        with pytest.raises(PermanentFailure, match=got):
            profile(path)


def test_parquet_says_its_types_itself(tmp_path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    at = [NOW + timedelta(hours=i) for i in range(8)]
    table = pa.table(
        {
            "station": ["a", "b"] * 4,
            "at": pa.array(at, pa.timestamp("ms", "UTC")),
            "n": pa.array(range(8), pa.int32()),
            "x": pa.array([0.5] * 7 + [None]),
        }
    )
    parquet.write_table(table, tmp_path / "x.parquet")
    found = draft("lab", "things", profile(tmp_path / "x.parquet"), Wishes(), NOW)
    assert (found.key, found.time, found.time_format) == ("station", "file_at", None)
    facts = {f.name: (f.type, f.required) for f in found.fields}
    assert (facts["n"], facts["x"]) == (("integer", True), ("number", False))


def test_the_written_folders_are_whole_and_python_and_a_contract_that_loads(tmp_path) -> None:
    root, file = checkout(tmp_path), tmp_path / "weather.csv"
    file.write_text(WEATHER)
    found = drafted(tmp_path, WEATHER, "weather.csv")
    written = write(root, found, file, "me@example.org")
    for path in written.files:
        text = path.read_text(encoding="utf-8")
        assert "$" not in text, f"{path}: a word was not filled in"
        if path.suffix == ".py":
            ast.parse(text)
        if path.suffix in (".yml", ".yaml"):
            yaml.safe_load(text)
    (stream,) = load_file(root / "de_stack/defs/lab/contract.odcs.yaml")
    assert (stream.name, stream.key, stream.grain) == ("lab.things", ("source_id",), "month")
    assert stream.accounted_in == ("stats_things", "count")
    sample = (written.folders[2] / "sample.csv").read_text()
    assert sample.splitlines()[:2] == WEATHER.splitlines()[:2]
    assert "--set" in written.replay and "source_id=weather" in written.replay


def test_nothing_that_is_there_is_changed(tmp_path) -> None:
    root, file = checkout(tmp_path), tmp_path / "weather.csv"
    file.write_text(WEATHER)
    found = drafted(tmp_path, WEATHER, "weather.csv")
    (root / "dbt_project/models/lab").mkdir()
    (root / "dbt_project/models/lab/mine.sql").write_text("select 1")
    with pytest.raises(PermanentFailure, match="there already"):
        write(root, found, file, "me@example.org")
    assert not (root / "de_stack/defs/lab").exists()
    assert (root / "dbt_project/models/lab/mine.sql").read_text() == "select 1"


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch) -> None:
    root, file = checkout(tmp_path), tmp_path / "weather.csv"
    file.write_text(WEATHER)
    found = drafted(tmp_path, WEATHER, "weather.csv")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("de_stack.scaffold.write.excerpt", full)
    with pytest.raises(PermanentFailure, match="No space left"):
        write(root, found, file, "me@example.org")
    left = list(root.rglob("lab*"))
    assert not left


def test_a_folder_that_is_no_checkout_is_refused(tmp_path) -> None:
    file = tmp_path / "weather.csv"
    found = drafted(tmp_path, WEATHER, "weather.csv")
    with pytest.raises(PermanentFailure, match="no checkout"):
        write(tmp_path, found, file, "me@example.org")


AT = times(timedelta(hours=6), 40, "%Y-%m-%d %H:%M")


def typed(tmp_path: Path, *values: str) -> tuple[str, bool]:
    """Type of a column, and whether every row has it."""
    text = rows("seen,v", AT, [values[i % len(values)] for i in range(len(AT))])
    field = next(f for f in drafted(tmp_path, text).fields if f.column == "v")
    return field.type, field.required


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (("1", "-2"), ("integer", True)),
        (("1", "NA"), ("integer", False)),
        # As numbers the two would be one.
        (("12345678901234567890", "12345678901234567891"), ("string", True)),
        (("+441234567890", "+441234567891"), ("string", True)),
        (("+1.5", "2"), ("number", True)),
        (("007", "8"), ("string", True)),
        # Replay takes it for a text.
        (("1_000", "2"), ("string", True)),
    ],
)
def test_what_looks_like_a_number_and_is_a_name_stays_a_text(tmp_path, values, found) -> None:
    assert typed(tmp_path, *values) == found


def test_a_column_with_gaps_is_no_key_though_they_are_spelled(tmp_path) -> None:
    text = rows("seen,sensor_id", AT, ["1" if i % 2 else "NA" for i in range(len(AT))])
    assert drafted(tmp_path, text).key == "source_id"
    with pytest.raises(PermanentFailure, match="is empty in 20 rows"):
        drafted(tmp_path, text, key="sensor_id")


@pytest.mark.parametrize("column", ["seen", "ok", "v"])
def test_a_key_is_a_text_or_a_whole_number(tmp_path, column: str) -> None:
    text = rows("seen,ok,v", AT, ["true", "false"] * 20, ["1.5", "2.5"] * 20)
    with pytest.raises(PermanentFailure, match="a key is a text or a whole number"):
        drafted(tmp_path, text, key=column)


def test_a_year_of_two_digits_is_not_in_the_days_of_rome(tmp_path) -> None:
    text = rows("seen,v", [f"1/{day}/24" for day in range(1, 29)], ["1"] * 28)
    with pytest.raises(PermanentFailure, match="no column holds a time in every row"):
        drafted(tmp_path, text)


def test_no_name_needs_quotes_in_sql() -> None:
    import duckdb

    db = duckdb.connect()
    words = [w for (w,) in db.execute("select keyword_name from duckdb_keywords()").fetchall()]
    words = sorted({*words, "at", "show"} - {"seen"})
    at = datetime(2026, 5, 1, tzinfo=UTC)
    seen = Column("seen", 0, 9, 9, formats=("%Y-%m-%d",), first=at, last=at)
    columns = [Column(word, i, 9, 9, integers=9, numbers=9) for i, word in enumerate(words, 1)]
    profiled = Profile(Path("file.csv"), 9, (seen, *columns))
    found = draft("lab", "things", profiled, Wishes(), NOW)
    names = [f.name for f in found.fields if f.column in words]
    assert len(names) == len(words)
    for name in names:
        db.execute(f"select cast(1 as bigint) as {name}, min(b) as {name}_min from (select 1 as b)")
        db.execute(f"create or replace table t as select 1 as b, 2 as {name}")
        db.execute(f"select b,\n {name}\nfrom t group by b, {name}")


def test_a_csv_is_looked_at_as_replay_reads_it(tmp_path) -> None:
    from de_stack.sources.replay.csv_file import CsvFile

    path = tmp_path / "file.csv"
    text = rows("seen,a,a,A", AT, *(["#1", "'x'", "3"][i : i + 1] * len(AT) for i in range(3)))
    path.write_text(text + "# 2026-05-20 00:00,1,2,3\n")
    found = profile(path)
    assert tuple(c.header for c in found.columns) == CsvFile(path).columns
    assert found.rows == len(AT) + 1, "a line is a row whatever it begins with"
    path.write_text(text + "2026-05-20 00:00,1,2,3,4\n")
    with pytest.raises(PermanentFailure, match=f"Line: {len(AT) + 2} .*Expected Number of Col"):
        profile(path)


def test_parts_of_their_own_are_left_out_and_what_is_no_number_is_missing(tmp_path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    start = datetime(2026, 5, 1, tzinfo=UTC)
    table = pa.table(
        {
            "seen": [start + timedelta(hours=i) for i in range(8)],
            "v": [1.5, float("nan"), 2.5, 3.5] * 2,
            "parts": [{"x": 1}] * 8,
            "many": [[1, 2]] * 8,
        }
    )
    pq.write_table(table, tmp_path / "file.parquet")
    found = draft("lab", "things", profile(tmp_path / "file.parquet"), Wishes(), NOW)
    assert {f.column: f.required for f in found.fields if f.column} == {"seen": True, "v": False}
    assert dict(found.skipped) == dict.fromkeys(("parts", "many"), "it has parts of its own")


def test_a_name_that_would_break_others_is_refused_before_anything_is_written(tmp_path) -> None:
    drawn = drafted(tmp_path, WEATHER)
    root = checkout(tmp_path)
    marts = root / "dbt_project" / "models" / "other" / "marts"
    marts.mkdir(parents=True)
    (marts / "mart_daily_things.sql").write_text("select 1")
    with pytest.raises(PermanentFailure, match="mart_daily_things.sql has the name of its report"):
        write(root, drawn, tmp_path / "file.csv", "me@example.org")
    (marts / "mart_daily_things.sql").unlink()
    (root / "de_stack" / "defs" / "lab.py").write_text("")
    with pytest.raises(PermanentFailure, match="lab.py is there: the domain would hide it"):
        write(root, drawn, tmp_path / "file.csv", "me@example.org")
    (root / "de_stack" / "defs" / "lab.py").unlink()
    early = replace(drawn, history_start=datetime(24, 1, 1, tzinfo=UTC))
    with pytest.raises(ContractError):
        write(root, early, tmp_path / "file.csv", "me@example.org")
    assert not any(folder.exists() for folder in folders(root, "lab"))
    with pytest.raises(PermanentFailure, match="29 at most"):
        draft("lab", "t" * 30, profile(tmp_path / "file.csv"), Wishes(), NOW)
