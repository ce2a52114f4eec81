"""The lake through delta-rs. Belongs here: small real tables in a folder; no Spark."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

from de_stack.failures import PermanentFailure
from de_stack.resources import lake_listing
from de_stack.resources.lake import Lake
from de_stack.resources.lake_log import Commit, commit_info
from de_stack.settings import Settings

TEN = datetime(2026, 5, 1, 10, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(Settings(home=tmp_path, lake_uri=str(tmp_path)))


@pytest.fixture
def uri(lake: Lake) -> str:
    return lake.uri("lab", "bronze", "things")


def append(uri: str, numbers: list[int], metadata: Any = None) -> None:
    """One commit; `metadata` is written as it is, or as JSON."""
    rows = pa.table(
        {
            "n": pa.array(numbers, pa.int64()),
            "name": pa.array([f"n{i}" for i in numbers], pa.string()),
            "raw": pa.array([b"\0"] * len(numbers), pa.binary()),
            "at": pa.array([TEN] * len(numbers), pa.timestamp("us", "UTC")),
        }
    )
    text = metadata if isinstance(metadata, str | None) else json.dumps(metadata)
    properties = CommitProperties(custom_metadata={"userMetadata": text} if text else None)
    write_deltalake(uri, rows, mode="append", commit_properties=properties)


def log_of(uri: str) -> list[Path]:
    return sorted(Path(uri, "_delta_log").glob("*.json"))


def test_a_table_lies_under_the_lake_by_its_name(lake: Lake, tmp_path: Path) -> None:
    assert lake.uri("lab", "silver", "things") == f"{tmp_path}/lab/silver_things"


def test_a_lake_in_which_nothing_has_landed_has_no_tables(tmp_path: Path) -> None:
    for place in ("empty", "not there"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        lake = str(tmp_path / place)
        assert lake_listing.tables(Settings(home=tmp_path, lake_uri=lake)) == []


def test_where_no_table_is_there_is_no_version_no_commit_and_no_count(lake: Lake, uri: str) -> None:
    assert lake.open(uri) is None
    assert lake.version(uri) is None
    assert lake.commits_after(uri, -1) == []
    assert lake.row_count(uri) is None
    with pytest.raises(PermanentFailure, match="no Delta table is there"):
        lake.query(uri, "select 1")


def test_a_folder_without_a_log_is_no_table(lake: Lake, uri: str) -> None:
    Path(uri).mkdir(parents=True)
    assert lake.version(uri) is None
    Path(uri, "_delta_log").mkdir()
    assert lake.version(uri) is None


def test_commits_come_oldest_first_with_our_metadata(lake: Lake, uri: str) -> None:
    for i in range(12):
        append(uri, [i], {"de_stack": 1, "i": i})
    found = lake.commits_after(uri, 3)
    assert [c.version for c in found] == list(range(4, 12))
    assert [c.metadata for c in found] == [{"de_stack": 1, "i": i} for i in range(4, 12)]
    assert all(c.operation == "WRITE" for c in found)
    assert all(abs((datetime.now(UTC) - c.committed_at).total_seconds()) < 60 for c in found)
    assert len(lake.commits_after(uri, -1)) == 12
    assert lake.commits_after(uri, 11) == []
    assert lake.commits_after(uri, 99) == []


@pytest.mark.parametrize(
    "metadata", [None, "hello", "{", "[1]", "1", {"de_stock": 1}, "null", {"userMetadata": "x"}]
)
def test_metadata_of_others_is_nobodys(lake: Lake, uri: str, metadata: Any) -> None:
    append(uri, [1], metadata)
    (commit,) = lake.commits_after(uri, -1)
    assert commit.metadata is None


def test_rows_are_counted_from_the_log(lake: Lake, uri: str) -> None:
    append(uri, [1, 2, 3])
    append(uri, [])
    append(uri, [4])
    assert lake.row_count(uri) == 4


def test_an_empty_table_has_no_rows(lake: Lake, uri: str) -> None:
    append(uri, [])
    assert lake.row_count(uri) == 0
    assert lake.query(uri, "select * from t").num_rows == 0


def test_a_query_sees_the_version_that_it_was_told(lake: Lake, uri: str) -> None:
    append(uri, [1])
    append(uri, [2])
    sql = "select count(*) as n from t"
    assert lake.query(uri, sql, 0).to_pylist() == [{"n": 1}]
    assert lake.query(uri, sql).to_pylist() == [{"n": 2}]
    with pytest.raises(PermanentFailure, match="at version 5"):
        lake.query(uri, sql, 5)


def test_a_query_answers_in_plain_types_and_in_utc(lake: Lake, uri: str) -> None:
    append(uri, [1])
    found = lake.query(uri, "select name, raw, at, n, count(*) over () as c from t")
    assert [found.schema.field(c).type for c in ("name", "raw", "n", "c")] == [
        pa.string(),
        pa.binary(),
        pa.int64(),
        pa.int64(),
    ]
    assert found["at"].type.tz == "UTC"
    assert found.to_pylist() == [{"name": "n1", "raw": b"\0", "at": TEN, "n": 1, "c": 1}]
    assert found.filter(pa.array([True])).num_rows == 1


@pytest.mark.parametrize("sql", ["select nothing from t", "selekt 1", "select * from u"])
def test_a_wrong_statement_is_a_permanent_failure(lake: Lake, uri: str, sql: str) -> None:
    append(uri, [1])
    with pytest.raises(PermanentFailure, match="bronze_things"):
        lake.query(uri, sql)


def test_a_file_that_is_gone_is_a_failure_and_not_an_empty_answer(lake: Lake, uri: str) -> None:
    append(uri, [1])
    for file in Path(uri).glob("*.parquet"):
        file.unlink()
    with pytest.raises(PermanentFailure):
        lake.query(uri, "select n from t")


def test_a_log_that_cannot_be_read_is_a_permanent_failure(lake: Lake, uri: str) -> None:
    append(uri, [1])
    append(uri, [2])
    log_of(uri)[-1].write_text("{not json")
    for ask in (lake.version, lake.row_count, lambda u: lake.commits_after(u, -1)):
        with pytest.raises(PermanentFailure, match="read the log"):
            ask(uri)


def test_a_log_with_a_hole_is_a_permanent_failure(lake: Lake, uri: str) -> None:
    for i in range(4):
        append(uri, [i])
    log_of(uri)[1].unlink()
    with pytest.raises(PermanentFailure):
        lake.commits_after(uri, -1)


def test_a_truncated_log_shows_its_last_version(lake: Lake, uri: str) -> None:
    for i in range(3):
        append(uri, [i])
    log_of(uri)[-1].unlink()
    assert lake.version(uri) == 1


def test_a_newest_commit_of_no_bytes_is_what_it_is_today(lake: Lake, uri: str) -> None:
    """A machine that lost power can leave one. Here: what happens now, not what should."""
    append(uri, [1], {"de_stack": 1})
    append(uri, [2], {"de_stack": 1})
    log_of(uri)[-1].write_bytes(b"")
    assert lake.version(uri) == 1
    assert lake.row_count(uri) == 1
    with pytest.raises(PermanentFailure, match=r"read commit 1 of .* \(0 bytes\)"):
        lake.commits_after(uri, -1)


@pytest.mark.parametrize("what", ["append", "compact", "delete", "merge"])
def test_a_commit_that_ends_between_two_of_its_lines_is_cut_off(
    lake: Lake, uri: str, what: str
) -> None:
    for numbers in ([1, 2], [3, 4], [5]):
        append(uri, numbers)
    table = DeltaTable(uri)
    if what == "compact":
        table.optimize.compact()
    if what == "delete":
        table.delete("n = 3")
    if what == "merge":
        new = table.to_pyarrow_table().slice(0, 1)
        merge = table.merge(new, "t.n = s.n", source_alias="s", target_alias="t")
        merge.when_matched_update_all().execute()
    version, newest = DeltaTable(uri).version(), log_of(uri)[-1]
    lines = newest.read_bytes().splitlines(keepends=True)
    assert len(lines) > 1
    assert lake.broken(uri, version) == {}
    for end in range(len(lines)):
        newest.write_bytes(b"".join(lines[:end]))
        assert list(lake.broken(uri, version)) == [version], lines[:end]


def test_every_commit_that_somebody_still_reads_is_looked_at(lake: Lake, uri: str) -> None:
    for n in range(6):
        append(uri, [n])
        if n == 3:
            DeltaTable(uri).create_checkpoint()
    log = log_of(uri)
    assert lake.broken(uri, 5) == {}
    for number in (1, 4):
        log[number].write_bytes(b"")
    # Nobody needs the first one: what it did is in the checkpoint, and the ledger is past it.
    assert list(lake.broken(uri, 5)) == [4]
    # A ledger that stands there would read it.
    assert list(lake.broken(uri, 1)) == [1, 4]
    log[4].unlink()
    assert list(lake.broken(uri, 5)) == [4]
    # Delta has cleaned: from the checkpoint on all is there, and what was before it nobody misses.
    for number in range(3):
        log[number].unlink()
    assert list(lake.broken(uri, 5)) == [4]


def test_what_replaces_a_commit_is_not_hidden_by_a_checkpoint_behind_it(
    lake: Lake, uri: str
) -> None:
    for n in range(5):
        append(uri, [n])
        if n in (1, 4):
            DeltaTable(uri).create_checkpoint()
    for number in (4, 3):
        lake.replace_commit(uri, number, commit_info("REPAIR", "{}"))
    assert lake.version(uri) == 4
    rows = lake.query(uri, "select n from t order by n")["n"].to_pylist()
    assert rows == [0, 1, 2]


def test_a_commit_of_another_writer_during_the_read_gives_no_commit_a_wrong_version(
    lake: Lake, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for i in range(3):
        append(uri, [i], {"de_stack": 1, "i": i})
    opened = Lake.open

    def and_then_another_commits(self: Lake, *arguments: Any) -> Any:
        table = opened(self, *arguments)
        append(uri, [9], {"de_stack": 1, "i": "later"})
        return table

    monkeypatch.setattr(Lake, "open", and_then_another_commits)
    found = lake.commits_after(uri, 0)
    assert [(c.version, (c.metadata or {})["i"]) for c in found] == [(1, 1), (2, 2)]


def test_a_commit_is_plain_data() -> None:
    assert Commit(1, "WRITE", TEN, None) == Commit(1, "WRITE", TEN, None)


def test_a_stream_gives_the_rows_of_a_query_and_its_failures(lake: Lake, uri: str) -> None:
    for start in (0, 10, 20):
        append(uri, list(range(start, start + 10)))
    sql = "select n, name from t where n % 2 = 0"
    rows = list(lake.stream(uri, sql, 1))
    assert sorted(r["n"] for r in rows) == list(range(0, 20, 2))
    assert {r["name"] for r in rows} == {f"n{i}" for i in range(0, 20, 2)}
    with pytest.raises(PermanentFailure, match="nothing"):
        list(lake.stream(uri, "select nothing from t", 1))
    for file in Path(uri).glob("*.parquet"):
        file.unlink()
    with pytest.raises(PermanentFailure, match="not found"):
        list(lake.stream(uri, sql, 2))


def test_files_between_two_times_are_those_whose_statistics_say_so(lake: Lake, uri: str) -> None:
    append(uri, [1, 2])
    later = TEN.replace(hour=15)
    rows = pa.table(
        {
            "n": pa.array([3], pa.int64()),
            "name": pa.array(["x"], pa.string()),
            "raw": pa.array([b""], pa.binary()),
            "at": pa.array([later], pa.timestamp("us", "UTC")),
        }
    )
    write_deltalake(uri, rows, mode="append")
    none = rows.set_column(3, "at", pa.array([None], pa.timestamp("us", "UTC")))
    write_deltalake(uri, none, mode="append")
    files, weight = lake.files_between(uri, 2, "at", TEN, TEN)
    assert (files, weight > 0) == (1, True)
    assert lake.files_between(uri, 2, "at", TEN, later)[0] == 2
    assert lake.files_between(uri, 0, "at", later, later) == (0, 0)


def test_the_newest_partition_is_of_what_the_version_holds(lake: Lake, uri: str) -> None:
    from deltalake import DeltaTable

    for day in ("2026-05-01", "2026-05-03", "2026-05-02"):
        rows = pa.table({"n": [1], "day": pa.array([datetime.fromisoformat(day).date()])})
        write_deltalake(uri, rows, mode="append", partition_by=["day"])
    newest = datetime(2026, 5, 3, tzinfo=UTC).date()
    assert lake.newest_partition(uri, "day", 2) == newest
    assert lake.newest_partition(uri, "day", 0) == newest.replace(day=1)
    DeltaTable(uri).delete("day = '2026-05-03'")
    assert lake.newest_partition(uri, "day", 3) == newest.replace(day=2)
    DeltaTable(uri).delete()
    assert lake.newest_partition(uri, "day", 4) is None
