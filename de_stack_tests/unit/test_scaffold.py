"""A file -> the draft of a contract -> files. Belongs here: choosing, asking, writing all or none.

Does not belong here: running what was written (`integration/test_new_stream.py`).
"""

from __future__ import annotations

import ast
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from de_stack.contracts import ContractError, load_file
from de_stack.failures import PermanentFailure
from de_stack.scaffold.draft import Draft, Wishes, draft, snake
from de_stack.scaffold.places import folders
from de_stack.scaffold.profile import Column, Profile, profile
from de_stack.scaffold.tables import How
from de_stack.scaffold.write import write

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
    assert (found.grain, found.history_start) == ("month", datetime(1947, 1, 1, tzinfo=UTC))
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
        "whole": ["1", "-2", "3", ""],
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
    written = write(root, found, profile(file), "me@example.org")
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
        write(root, found, profile(file), "me@example.org")
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
        write(root, found, profile(file), "me@example.org")
    left = list(root.rglob("lab*"))
    assert not left


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["9223372036854775807", "1"], "integer"),
        (["9223372036854775808", "1"], "string"),
        (["+4917012", "4917012"], "string"),
        (["1_000", "2"], "string"),
        (["1,5", "2,5"], "string"),
    ],
)
def test_what_would_lose_digits_stays_a_text(tmp_path, values: list[str], kind: str) -> None:
    quoted = [f'"{value}"' for value in values]
    found = drafted(tmp_path, rows("when,v", ["2026-05-01", "2026-05-02"], quoted))
    assert {f.name: f.type for f in found.fields}["v"] == kind


def test_a_decimal_comma_and_a_time_to_come_are_said(tmp_path) -> None:
    found = drafted(tmp_path, 'when,v\n2026-05-01,"1,5"\n2031-05-02,"1.234,5"\n')
    comma, future = found.notes
    assert "decimal comma" in comma and "'1,5'" in comma
    assert "2031-05-02" in future and "dead letters" in future


def test_a_year_of_two_digits_is_not_the_year_24(tmp_path) -> None:
    text = "when,v\n1/15/24,1\n2/16/24,2\n"
    with pytest.raises(PermanentFailure, match=r"when: '1/15/24'.*--time-format"):
        drafted(tmp_path, text)
    path = tmp_path / "file.csv"
    form = "%m/%d/%y"
    found = draft("lab", "things", profile(path, None, form), Wishes(time_format=form), NOW)
    assert (found.time_format, found.history_start.year) == (form, 2024)


@pytest.mark.parametrize(("form", "first"), [("s", "1767225600"), ("ms", "1767225600000")])
def test_seconds_since_1970_are_times_where_they_are_said_to_be(
    tmp_path, form: str, first: str
) -> None:
    path = tmp_path / "file.csv"
    path.write_text(f"stamp,v\n{first},x\n{first},y\n")
    found = draft("lab", "things", profile(path, None, form), Wishes(time_format=form), NOW)
    # Midnight of New Year's Day in UTC is in the year before somewhere.
    assert found.history_start == datetime(2025, 1, 1, tzinfo=UTC)


def test_a_key_may_not_lack_values(tmp_path) -> None:
    at = times(timedelta(hours=1), 8, "%Y-%m-%d %H:%M")
    text = rows("sensor,stamp,v", ["a", "NA"] * 4, at, ["1"] * 8)
    assert drafted(tmp_path, text).key == "source_id"


@pytest.mark.parametrize("key", ["stamp", "is_on"])
def test_a_key_that_names_nothing_is_refused(tmp_path, key: str) -> None:
    with pytest.raises(PermanentFailure, match="a key is a text or a whole number"):
        drafted(tmp_path, "stamp,is_on\n2026-05-01,true\n2026-05-02,false\n", key=key)


@pytest.mark.parametrize("word", ["show", "some", "do", "pivot", "lateral", "qualify"])
def test_no_column_is_called_as_a_word_of_sql(tmp_path, word: str) -> None:
    found = drafted(tmp_path, f"stamp,{word}\n2026-05-01,1\n")
    assert {f.name for f in found.fields} >= {f"file_{word}"}


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("when,a,a\n2026-05-01,1,2\n", ["when", "a", "a_2"]),
        ("when,Value,value\n2026-05-01,1,2\n", ["when", "Value", "value"]),
        ("when,column1\n2026-05-01,1\n", ["when", "column1"]),
        ("when,'a,b'\n2026-05-01,1,2\n", ["when", "'a", "b'"]),
        ("when;#x\n2026-05-01;1\n", ["when", "#x"]),
    ],
)
def test_the_columns_are_those_that_replay_finds(tmp_path, text: str, columns: list[str]) -> None:
    found = drafted(tmp_path, text)
    assert [f.column for f in found.fields if f.column] == columns


@pytest.mark.parametrize(
    ("raw", "got"),
    [
        (b"when,v\n2026-05-01,1\n2026-05-02\n", "line 3 has 1 cells, the header has 2"),
        (b"A report\nwhen,v\n2026-05-01,1\n", "line 2 has 2 cells, the header has 1"),
        (b'when,v\n2026-05-01,"a\\" b"\n', "line 2 has a quote"),
        (b"when,v\n2026-05-01,\xfcber\n", "is no utf-8"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path, raw: bytes, got: str) -> None:
    (tmp_path / "x.csv").write_bytes(raw)
    with pytest.raises(PermanentFailure, match=got):
        profile(tmp_path / "x.csv")


def test_another_encoding_can_be_said(tmp_path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes("when;größe\n2026-05-01;über\n".encode("cp1252"))
    found = profile(path, How(";", "cp1252"))
    assert [c.header for c in found.columns] == ["when", "größe"]


def test_parquet_without_a_number_and_with_lists(tmp_path) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    table = pa.table(
        {
            "stamp": pa.array([NOW, NOW], pa.timestamp("us", "UTC")),
            "x": [0.5, float("nan")],
            "parts": [[1], [2]],
            "place": [{"lat": 1.0}, {"lat": 2.0}],
        }
    )
    parquet.write_table(table, tmp_path / "x.parquet")
    found = draft("lab", "things", profile(tmp_path / "x.parquet"), Wishes(), NOW)
    assert {f.name: f.required for f in found.fields}["x"] is False
    assert {name for name, _ in found.skipped} == {"parts", "place"}


def test_what_cannot_be_read_back_is_not_put_in_place(tmp_path, monkeypatch) -> None:
    root, file = checkout(tmp_path), tmp_path / "weather.csv"
    found = drafted(tmp_path, WEATHER, "weather.csv")
    with pytest.raises(PermanentFailure):
        write(root, found, profile(file), "no address")
    assert not [path for path in root.rglob("*") if path.is_file()]
    assert not list(root.glob(".new_stream*"))


def test_an_entity_that_another_domain_has_gets_another_report(tmp_path) -> None:
    root, file = checkout(tmp_path), tmp_path / "weather.csv"
    found = drafted(tmp_path, WEATHER, "weather.csv")
    (root / "dbt_project/models/other").mkdir()
    (root / "dbt_project/models/other/mart_daily_things.sql").write_text("select 1")
    written = write(root, found, profile(file), "me@example.org")
    assert (written.folders[1] / "marts/mart_daily_lab_things.sql").is_file()
    for path in written.files:
        assert "mart_daily_things" not in path.read_text(), path


@pytest.mark.parametrize("domain", ["dbt_models", "failed_runs"])
def test_a_domain_that_is_a_module_is_refused(tmp_path, domain: str) -> None:
    root, file = checkout(tmp_path), tmp_path / "weather.csv"
    file.write_text(WEATHER)
    (root / "de_stack/defs" / f"{domain}.py").write_text("")
    found = draft(domain, "things", profile(file), Wishes(), NOW)
    with pytest.raises(PermanentFailure, match=f"{domain}.py is there"):
        write(root, found, profile(file), "me@example.org")


def test_names_that_are_too_long_are_refused(tmp_path) -> None:
    root, file = checkout(tmp_path), tmp_path / "weather.csv"
    file.write_text(WEATHER)
    (root / "dbt_project/models/mart_daily_things_of_a_kind.sql").write_text("select 1")
    found = draft("laboratory_of_mine", "things_of_a_kind", profile(file), Wishes(), NOW)
    with pytest.raises(PermanentFailure, match="shorter entity"):
        write(root, found, profile(file), "me@example.org")


def test_long_names_are_written_as_the_formatter_writes_them(tmp_path) -> None:
    root = checkout(tmp_path)
    file = tmp_path / f"{'o' * 140}'s.csv"
    header = ",".join(
        ["station", "stamp", *(f"{'measured_value_of_a_long_name'}_{i}" for i in range(9))]
    )
    at = times(timedelta(hours=1), 8, "%Y-%m-%d %H:%M")
    file.write_text(rows(header, ["a"] * 8, at, *[["1"] * 8] * 9))
    found = draft("d" * 40, "e" * 29, profile(file), Wishes(), NOW)
    written = write(root, found, profile(file), "me@example.org")
    ruff = str(Path(sys.executable).with_name("ruff"))
    config = str(Path(__file__).resolve().parents[2] / "pyproject.toml")
    first_party = 'lint.isort.known-first-party=["de_stack", "de_stack_tests"]'
    for words in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run(
            [ruff, *words, "--config", config, "--config", first_party, *map(str, written.folders)],
            cwd=root,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_a_constant_key_has_room_for_the_files_name(tmp_path) -> None:
    root, file = checkout(tmp_path), tmp_path / f"{'o' * 140}'s.csv"
    file.write_text(WEATHER)
    found = draft("lab", "things", profile(file), Wishes(), NOW)
    write(root, found, profile(file), "me@example.org")
    (stream,) = load_file(root / "de_stack/defs/lab/contract.odcs.yaml")
    assert stream.field("source_id").max_length == 142


def test_a_folder_that_is_no_checkout_is_refused(tmp_path) -> None:
    file = tmp_path / "weather.csv"
    found = drafted(tmp_path, WEATHER, "weather.csv")
    with pytest.raises(PermanentFailure, match="no checkout"):
        write(tmp_path, found, profile(file), "me@example.org")


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
    with pytest.raises(PermanentFailure, match=f"line {len(AT) + 2} has 5 cells, the header has 4"):
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
    assert dict(found.skipped) == dict.fromkeys(("parts", "many"), "it holds lists or structs")


def test_a_name_that_would_break_others_is_refused_before_anything_is_written(tmp_path) -> None:
    drawn = drafted(tmp_path, WEATHER)
    root = checkout(tmp_path)
    (root / "de_stack" / "defs" / "lab.py").write_text("")
    with pytest.raises(PermanentFailure, match="lab.py is there: the domain would hide it"):
        write(root, drawn, profile(tmp_path / "file.csv"), "me@example.org")
    (root / "de_stack" / "defs" / "lab.py").unlink()
    early = replace(drawn, history_start=datetime(24, 1, 1, tzinfo=UTC))
    with pytest.raises(ContractError):
        write(root, early, profile(tmp_path / "file.csv"), "me@example.org")
    assert not any(folder.exists() for folder in folders(root, "lab"))
    with pytest.raises(PermanentFailure, match="29 at most"):
        draft("lab", "t" * 30, profile(tmp_path / "file.csv"), Wishes(), NOW)
