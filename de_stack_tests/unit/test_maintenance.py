"""Compaction and vacuum. Belongs here: small real tables in a folder; Spark is integration's."""

import json
import os
import time
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.orchestration import maintenance
from de_stack.orchestration.failed import why
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.streams import stream

DAY = 86_400
META = json.dumps({"de_stack": 1, "kind": "maintain", "token": "t", "run_id": "r"})


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(Settings(home=tmp_path, lake_uri=str(tmp_path)))


@pytest.fixture
def uri(lake: Lake) -> str:
    """Two folders of five small files each, with statistics for one of two columns."""
    uri = lake.uri("lab", "bronze", "things")
    for i in range(10):
        rows = pa.table({"n": [i, i + 100], "other": ["a", "b"], "day": [i % 2, i % 2]})
        write_deltalake(
            uri,
            rows,
            mode="append",
            partition_by=["day"],
            configuration={"delta.dataSkippingStatsColumns": "n"},
        )
    return uri


def rows_of(lake: Lake, uri: str, version: int | None = None) -> list[dict[str, Any]]:
    return lake.query(uri, "select * from t order by n", version).to_pylist()


def test_compaction_changes_files_and_no_rows(lake: Lake, uri: str) -> None:
    before, rows = lake.size(uri), rows_of(lake, uri)
    assert (before.files, before.small_files, before.rows) == (10, 10, 20)
    assert lake.compact(uri, META) == (2, 10)
    after = lake.size(uri)
    assert (after.files, after.rows, after.version) == (2, 20, before.version + 1)
    assert rows_of(lake, uri) == rows
    # A reader that has pinned the version before goes on.
    assert rows_of(lake, uri, before.version) == rows
    assert lake.compact(uri, META) == (0, 0)
    assert lake.version(uri) == after.version


def test_compacted_files_have_statistics_of_the_wanted_columns_and_old_features(
    lake: Lake, uri: str
) -> None:
    lake.compact(uri, META)
    (commit,) = lake.commits_after(uri, 9)
    assert (commit.operation, commit.metadata) == ("OPTIMIZE", json.loads(META))
    table = DeltaTable(uri)
    columns = pa.table(table.get_add_actions(flatten=True)).column_names
    assert {"min.n", "max.n", "null_count.n"} <= set(columns)
    assert "min.other" not in columns
    protocol = table.protocol()
    assert (protocol.min_reader_version, protocol.min_writer_version) == (1, 2)


def test_vacuum_spares_what_a_reader_may_have_pinned_and_what_is_being_written(
    lake: Lake, uri: str
) -> None:
    before = lake.size(uri).version
    lake.compact(uri, META)
    folder = Path(uri, "day=0")
    fresh, old = folder / "being-written.parquet", folder / "left-behind.parquet"
    for path in (fresh, old):
        path.write_bytes(b"x")
    os.utime(old, (time.time() - 9 * DAY,) * 2)
    assert lake.vacuum(uri, 168, META) == 1
    assert fresh.exists()
    assert not old.exists()
    assert len(rows_of(lake, uri, before)) == 20
    version = lake.version(uri)
    # With nothing to delete there is no commit either.
    assert lake.vacuum(uri, 168, META) == 0
    assert lake.version(uri) == version


def test_a_retention_below_a_day_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PermanentFailure, match="greater than or equal to 24"):
        Settings(home=tmp_path, vacuum_retention_hours=23)


def test_compaction_that_another_writer_has_overtaken_changes_nothing(
    lake: Lake, uri: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stale = DeltaTable(uri)
    rows = pa.table({"n": [1], "other": ["c"], "day": [0]})
    write_deltalake(uri, rows, mode="overwrite", predicate="day = 0")
    version = lake.version(uri)
    with monkeypatch.context() as patched:
        patched.setattr(lake, "open", lambda *_: stale)
        with pytest.raises(TransientFailure, match="another writer was first"):
            lake.compact(uri, META)
    assert lake.version(uri) == version
    assert lake.size(uri).rows == 11


def test_where_no_table_is_there_is_nothing_to_compact(lake: Lake) -> None:
    for call in (lambda u: lake.compact(u, META), lambda u: lake.vacuum(u, 168, META), lake.size):
        with pytest.raises(PermanentFailure, match="no Delta table is there"):
            call(lake.uri("lab", "bronze", "nothing"))


BUSY = TransientFailure("compact x", "another writer was first")
CUT = PermanentFailure("read x", "its log was cut", "repair it")


@pytest.mark.parametrize(
    ("answers", "tries", "succeeds"),
    [([BUSY, BUSY, None], 3, True), ([BUSY] * 9, 4, False), ([CUT] * 9, 1, False)],
)
def test_a_table_that_is_busy_is_tried_again_in_the_same_run_and_a_broken_one_is_not(
    answers: list[Any], tries: int, succeeds: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = list(answers)

    def maintain(*_: object) -> None:
        if failure := left.pop(0):
            raise failure

    monkeypatch.setattr(maintenance, "maintain", maintain)
    monkeypatch.setattr(maintenance, "_FIRST_WAIT_S", 0.01, raising=False)
    settings = Settings(home=tmp_path)
    asset = maintenance.maintained(stream(), "bronze", (), lambda _: None)  # type: ignore[arg-type]
    with dg.DagsterInstance.ephemeral() as instance:
        done = dg.materialize(
            [asset], instance=instance, resources={"settings": settings}, raise_on_error=False
        )
        assert (len(answers) - len(left), done.success) == (tries, succeeds)
        if not succeeds:
            said = why(instance, done.run_id, settings)
            assert said.message.endswith(str(answers[0]))
            assert said.can_retry_help is answers[0].can_retry_help
