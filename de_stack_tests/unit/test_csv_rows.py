"""CSV files as people have them, and the place of what is wrong in them."""

import hashlib
from pathlib import Path

import pytest

from de_stack.failures import PermanentFailure
from de_stack.flow.csv_rows import CsvRows, checksum
from de_stack.flow.file_days import day_of


def rows(tmp_path: Path, content: bytes) -> list[tuple[int, list[str]]]:
    path = tmp_path / "f.csv"
    path.write_bytes(content)
    return list(CsvRows(path))


def test_quotes_lines_and_a_mark_are_read_as_they_are_meant(tmp_path: Path) -> None:
    content = '\ufeffa,b\r\n1,"x\r\ny ""z"", \U0001f600"\n\n2,q"r\n3,""\n'.encode()
    assert rows(tmp_path, content) == [
        (1, ["a", "b"]),
        (2, ["1", 'x\r\ny "z", \U0001f600']),
        (5, ["2", 'q"r']),
        (6, ["3", ""]),
    ]


def test_a_last_line_without_an_end_is_a_row(tmp_path: Path) -> None:
    assert rows(tmp_path, b"a,b\n1,2") == [(1, ["a", "b"]), (2, ["1", "2"])]


def test_the_checksum_of_what_was_read_is_that_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes(b'\xef\xbb\xbfa\r\n"x\ny"\n')
    read = CsvRows(path)
    assert len(list(read)) == 2
    assert read.digest == checksum(path) == hashlib.sha256(path.read_bytes()).hexdigest()
    assert read.bytes_read == path.stat().st_size


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        (b'a,b\n1,"x"y\n', "line 2, column 6", "expected after"),
        (b'a,b\n1,"two\nlines" z\n', "line 3, column 7", "expected after"),
        (b'a,b\n1,2\n3,"open\nto the\nend', "line 3, column 3", "unexpected end"),
        (b'a,b\n1,"%s' % (b"long\n" * 40_000), "line 2, column 3", "field limit"),
        ("a,b\n\u00e9\u00e9,".encode() + b"\xff\n", "line 2, column 4", "0xff is no UTF-8"),
        (b'a,b\n"x\ny",\xe9t\n', "line 3, column 4", "0xe9 is no UTF-8"),
        (b"a,b\r1,2\r", "line 1, column 4", "new-line"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path, content, place, reason) -> None:
    with pytest.raises(PermanentFailure, match=rf"f\.csv, {place}: .*{reason}"):
        rows(tmp_path, content)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    for read in (lambda p: list(CsvRows(p)), checksum):
        with pytest.raises(PermanentFailure, match=r"none\.csv: No such file"):
            read(tmp_path / "none.csv")


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("2020-03-29 Coronavirus Tweets.CSV", "2020-03-29"),
        ("tweets_2022-01-01.csv", "2022-01-01"),
        ("20220101.csv", "2022-01-01"),
        ("2022_01_01-part7.csv", "2022-01-01"),
        ("v2 2022-01-01 (2022-01-01).csv", "2022-01-01"),
        ("123456789 2022-01-01.csv", "2022-01-01"),
    ],
)
def test_the_day_is_the_one_date_of_the_name(name: str, day: str) -> None:
    assert day_of(Path("/2019-01-01") / name).isoformat() == day


@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("tweets.csv", "no date"),
        ("2022-13-01.csv", "no date"),
        ("2022-0101.csv", "no date"),
        ("tweets_2022-01-01_2022-01-02.csv", "2022-01-01, 2022-01-02"),
        ("202201012.csv", "no date"),
    ],
)
def test_no_date_or_two_are_refused_with_an_example(name: str, got: str) -> None:
    with pytest.raises(PermanentFailure, match=rf"its name has {got} .*e\.g\. rows_2022"):
        day_of(Path(name))
