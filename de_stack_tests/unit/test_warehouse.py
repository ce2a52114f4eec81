"""Reading the warehouse file."""

from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from de_stack.failures import PermanentFailure
from de_stack.resources import warehouse
from de_stack.settings import Settings


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("DE_STACK_PROFILE", "external")
    return Settings(home=tmp_path, warehouse_path=tmp_path / "w.duckdb")


@pytest.fixture
def filled(settings: Settings) -> Settings:
    with duckdb.connect(settings.need("warehouse_path")) as connection:
        connection.execute("create schema s")
        connection.execute("create table s.t as select 2 as n union all select 1")
        connection.execute("""comment on table s.t is '{"d.silver_x": 7}'""")
    return settings


def test_a_table_comes_sorted_with_the_versions_it_was_built_from(filled: Settings) -> None:
    rows, versions = warehouse.read_table(filled, "s", "t", ["n"])
    assert rows["n"].to_pylist() == [1, 2]
    assert versions == {"d.silver_x": 7}
    assert warehouse.count(filled, "s", "t") == 2


def test_times_are_utc_whatever_the_machine_thinks(
    filled: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", "Australia/Sydney")
    rows = warehouse.read_arrow(filled, "select timestamptz '2026-03-01 10:00:00+00' as at")
    assert str(rows.schema.field("at").type) == "timestamp[us, tz=UTC]"
    assert rows["at"].to_pylist() == [datetime(2026, 3, 1, 10, tzinfo=UTC)]


def test_values_are_bound_not_pasted(filled: Settings) -> None:
    rows = warehouse.read_arrow(filled, "select ? as v", ("it's",))
    assert rows["v"].to_pylist() == ["it's"]


def test_no_warehouse_yet_says_so(settings: Settings) -> None:
    with pytest.raises(PermanentFailure, match="no such file.*materialize a mart first"):
        warehouse.read_arrow(settings, "select 1")


def test_a_missing_table_is_a_failure_that_a_retry_cannot_mend(filled: Settings) -> None:
    with pytest.raises(PermanentFailure, match="nothing_here"):
        warehouse.read_table(filled, "s", "nothing_here", ["n"])


def test_a_file_that_is_no_warehouse_is_not_taken_for_a_busy_one(settings: Settings) -> None:
    Path(settings.need("warehouse_path")).write_bytes(b"not a database" * 1000)
    with pytest.raises(PermanentFailure, match="not a valid DuckDB database"):
        warehouse.read_arrow(settings, "select 1")
