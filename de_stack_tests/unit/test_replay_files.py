"""Reading files of all formats: what is a row, what is none, and nothing is dropped."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_stack.failures import PermanentFailure
from de_stack.sources.replay import csv_file
from de_stack.sources.replay.files import open_file, sha256


def written(folder: Path, content: str | bytes, name: str = "f.csv") -> Path:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def rows(path: Path, *columns: str, **how: object) -> list:
    source = open_file(path, **how)  # type: ignore[arg-type]
    return [r if isinstance(r, bytes) else list(r) for r in source.rows(columns or source.columns)]


def test_a_csv_as_people_have_it(tmp_path) -> None:
    text = '\ufeffID,A b,\r\n1,"two\nlines, ""quoted""",x\r\n\r\n2,,"y"\r\n'
    path = written(tmp_path, text)
    assert open_file(path).columns == ("ID", "A b", "column3")
    assert rows(path) == [["1", 'two\nlines, "quoted"', "x"], ["2", None, "y"]]
    assert rows(path, "column3", "ID") == [["x", "1"], ["y", "2"]]


def test_names_that_stand_twice_or_not_at_all_get_one(tmp_path) -> None:
    assert open_file(written(tmp_path, ",a,a,\n1,2,3,4\n")).columns == (
        *("column1", "a", "a_2", "column4"),
    )


def test_a_row_with_other_cells_than_the_header_is_given_as_it_came(tmp_path) -> None:
    path = written(tmp_path, "a,b\n1,2\n3\n4,5,6\n7,8\n")
    assert rows(path) == [["1", "2"], b"3", b"4,5,6", ["7", "8"]]


def test_a_quote_that_is_never_closed_costs_its_own_line_only(tmp_path) -> None:
    path = written(tmp_path, 'a,b\n1,2\n3,"4\n5,6\n7,8\n')
    assert rows(path) == [["1", "2"], b'3,"4', ["5", "6"], ["7", "8"]]


def test_a_quote_that_is_never_closed_in_a_large_file_costs_its_own_line_only(
    tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(csv_file, "_MOST_TEXT", 500)
    lines = [f"{i},{i}\n" for i in range(1000)]
    lines[300] = '300,"300\n'
    found = rows(written(tmp_path, "a,b\n" + "".join(lines)))
    assert found == [b'300,"300' if i == 300 else [str(i), str(i)] for i in range(1000)]


def test_text_after_a_closed_quote_costs_its_own_line_only(tmp_path) -> None:
    path = written(tmp_path, 'a,b\n"1"x,2\n3,4\n')
    assert rows(path) == [b'"1"x,2', ["3", "4"]]


@given(
    st.lists(
        st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=2, max_size=2),
        max_size=8,
    )
)
def test_what_a_writer_writes_is_read_back(table) -> None:
    import csv
    import io
    import tempfile

    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(["a", "b"])
    writer.writerows(table)
    with tempfile.TemporaryDirectory() as folder:
        found = rows(written(Path(folder), text.getvalue()))
    assert found == [[cell or None for cell in row] for row in table]


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolon"), ("\t", "tab"), ("|", "bar")])
def test_another_delimiter_is_seen_and_said(tmp_path, mark, name) -> None:
    path = written(tmp_path, f'a{mark}"b, c"{mark}d\n1{mark}2,5{mark}3\n')
    source = open_file(path)
    assert source.columns == ("a", "b, c", "d")
    assert name in (source.note or "")
    assert rows(path) == [["1", "2,5", "3"]]
    assert rows(path, delimiter=",")[0] == [f"1{mark}2", f"5{mark}3"]


def test_other_encodings(tmp_path) -> None:
    assert rows(written(tmp_path, "a,b\nü,1\n".encode("utf-16"))) == [["ü", "1"]]
    latin = written(tmp_path, "a,b\nü,1\n".encode("cp1252"), "latin.csv")
    assert rows(latin, encoding="cp1252") == [["ü", "1"]]
    assert rows(latin) == [["\udcfc", "1"]], "the byte is kept, and no row is dropped"
    with pytest.raises(PermanentFailure, match="unknown encoding"):
        open_file(latin, encoding="nonsense")


def test_cells_that_say_nothing_in_other_words(tmp_path) -> None:
    path = written(tmp_path, "a,b,c\nNA,1,\nNaN,-,NA2\n")
    assert rows(path, nulls=["NA", "-"]) == [[None, "1", None], ["NaN", None, "NA2"]]


def test_a_file_without_a_header(tmp_path) -> None:
    path = written(tmp_path, "1,2\n3,4\n")
    assert open_file(path, header=False).columns == ("column1", "column2")
    assert rows(path, header=False) == [["1", "2"], ["3", "4"]]


@pytest.mark.parametrize("content", ["", "\n\n", '"never closed\n'])
def test_a_csv_without_a_first_row_is_refused(tmp_path, content) -> None:
    with pytest.raises(PermanentFailure, match="header"):
        open_file(written(tmp_path, content))


def test_what_is_no_csv_is_refused_and_not_read_into_memory(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(csv_file, "_MOST_TEXT", 1000)
    with pytest.raises(PermanentFailure, match="is it a CSV file"):
        rows(written(tmp_path, "a,b\n" + "x" * 5000))


def test_ndjson_with_nested_names_and_lines_that_are_no_objects(tmp_path) -> None:
    lines = [
        b'\xef\xbb\xbf{"a": {"b": 1, "c": {}}, "d.e": 2}',
        b"",
        b'{"a": {"b": 3}}',
        b'{"a": 7}',
        b"[1]",
        b'{"a": ',
        b'{"a": {"b": 1, "b": 2}}',
        b"\xff\xfe",
    ]
    path = written(tmp_path, b"\n".join(lines), "f.ndjson")
    assert open_file(path).columns == ("a.b", "a.c", "d.e", "a")
    assert rows(path, "a.b", "d.e") == [
        [1, 2],
        [3, None],
        [None, None],
        b"[1]",
        b'{"a":',
        b'{"a": {"b": 1, "b": 2}}',
        b"\xff\xfe",
    ]


def test_parquet_keeps_types(tmp_path) -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, 678901)  # noqa: DTZ001
    table = pa.table(
        {
            "at": pa.array([at, None], pa.timestamp("ns")),
            "zoned": pa.array([at.replace(tzinfo=UTC)] * 2, pa.timestamp("ms", "Europe/Berlin")),
            "n": [1, None],
            "d": [Decimal("1.50"), None],
            "s": [{"x": {"y": date(2026, 1, 2)}}, None],
            "year": pa.array([0, 9_000_000_000_000_000_00], pa.timestamp("us")),
        }
    )
    path = tmp_path / "f.parquet"
    pq.write_table(table, path)
    assert open_file(path).columns == ("at", "zoned", "n", "d", "s.x.y", "year")
    first, second = rows(path, "at", "n", "d", "s.x.y", "year")
    assert first == [at, 1, Decimal("1.50"), date(2026, 1, 2), "1970-01-01 00:00:00.000000"]
    assert second[:4] == [None] * 4
    assert rows(path, "zoned")[0][0] == at.replace(microsecond=678000, tzinfo=UTC)


def test_a_broken_parquet_file_is_refused_with_its_name(tmp_path) -> None:
    with pytest.raises(PermanentFailure, match=r"f\.parquet"):
        open_file(written(tmp_path, b"PAR1 no", "f.parquet"))


def test_an_unknown_ending_is_refused_with_those_that_are_known(tmp_path) -> None:
    with pytest.raises(PermanentFailure, match=r"\.csv, \.tsv, \.parquet, \.ndjson, \.jsonl"):
        open_file(written(tmp_path, "", "f.xlsx"))
    with pytest.raises(PermanentFailure, match="CSV files only"):
        open_file(written(tmp_path, json.dumps({}), "f.ndjson"), delimiter=";")


def test_a_copy_under_another_name_is_the_same_file(tmp_path) -> None:
    assert sha256(written(tmp_path, "a\n1\n")) == sha256(written(tmp_path, "a\n1\n", "g.csv"))


@pytest.mark.parametrize("name", ["f.csv", "f.ndjson"])
def test_reading_tells_how_far_it_is(tmp_path, name) -> None:
    line = "1,2\n" if name.endswith("csv") else '{"a": 1}\n'
    source = open_file(written(tmp_path, ("a,b\n" if "1,2" in line else "") + line * 50_000, name))
    assert source.fraction() == 0
    seen = [source.fraction() for _ in source.rows(["a"])]
    assert seen == sorted(seen)
    assert seen[0] < 0.2 < seen[25_000] < 0.8 < seen[-1] <= 1
