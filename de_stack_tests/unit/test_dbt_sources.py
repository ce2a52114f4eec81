"""dbt's sources as they are derived from contracts."""

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from de_stack.contracts import Field, Stream, load_all
from de_stack.contracts.dbt import variable, windows, write_sources
from de_stack.contracts.model import Window

MEASURES = load_all()["telemetry.measures"]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "models" / "telemetry").mkdir(parents=True)
    return tmp_path


def _table(project: Path, *streams: Stream) -> dict:
    (path,) = write_sources(project, streams)
    (source,) = yaml.safe_load(path.read_text())["sources"]
    assert source["name"] == "telemetry"
    return source["tables"][0]


def test_every_field_of_the_contract_is_a_column_after_the_identity(project: Path) -> None:
    names = [c["name"] for c in _table(project, MEASURES)["columns"]]
    assert names == ["event_id", "event_hour", *(f.name for f in MEASURES.fields)]


def test_required_fields_and_only_those_must_not_be_null(project: Path) -> None:
    optional = Field("note", ("note",), "string", description="Free text.", unit="words")
    stream = replace(MEASURES, fields=(*MEASURES.fields, optional))
    columns = {c["name"]: c for c in _table(project, stream)["columns"]}
    assert "data_tests" not in columns.pop("note")
    assert all(c["data_tests"] == ["not_null"] for c in columns.values())


def test_unit_and_classification_reach_the_column(project: Path) -> None:
    field = Field("t", ("t",), "number", description="T.", unit="degC", classification="pii")
    column = _table(project, replace(MEASURES, fields=(field,)))["columns"][-1]
    assert column["description"] == "T. Unit: degC."
    assert column["config"]["meta"] == {"classification": "pii"}
    assert column["data_type"] == "double"


def test_a_source_maps_to_the_key_and_owner_of_silver(project: Path) -> None:
    meta = _table(project, MEASURES)["config"]["meta"]
    assert meta["dagster"]["asset_key"] == ["telemetry", "silver_measures"]
    assert MEASURES.owner in meta["owners"]


def test_the_place_and_version_come_from_variables_that_carry_the_sources_name(
    project: Path,
) -> None:
    place = variable("telemetry", "silver_measures")
    assert place == "DE_STACK_DBT_TELEMETRY_SILVER_MEASURES"
    location = _table(project, MEASURES)["config"]["meta"]["external_location"]
    assert f"env_var('{place}'" in location
    assert f"version := {{{{ env_var('{place}_VERSION') }}}}" in location


def test_a_table_that_a_contract_lets_dbt_read_is_a_source_beside_silver(project: Path) -> None:
    (path,) = write_sources(project, [replace(MEASURES, dbt_reads=("stats_measures",))])
    (source,) = yaml.safe_load(path.read_text())["sources"]
    silver, stats = source["tables"]
    assert (silver["name"], stats["name"]) == ("silver_measures", "stats_measures")
    meta = stats["config"]["meta"]
    assert meta["dagster"]["asset_key"] == ["telemetry", "stats_measures"]
    assert "env_var('DE_STACK_DBT_TELEMETRY_STATS_MEASURES'" in meta["external_location"]


def test_sizes_of_windows_reach_dbt_in_microseconds() -> None:
    slide = timedelta(milliseconds=2500)
    stream = replace(MEASURES, windows=(Window("5s", timedelta(seconds=5), slide),))
    (said,) = windows([stream, load_all()["stocks.averages"]]).values()
    sizes = [{"name": "5s", "length": 5_000_000, "slide": 2_500_000}]
    assert json.loads(said) == {"telemetry.measures": sizes}


def test_a_domain_without_dbt_models_gets_no_file(tmp_path: Path) -> None:
    assert write_sources(tmp_path, [MEASURES]) == []
    assert not list(tmp_path.rglob("*"))


def test_writing_the_same_again_leaves_the_file_alone(project: Path) -> None:
    (path,) = write_sources(project, [MEASURES])
    before = path.stat().st_mtime_ns
    write_sources(project, [MEASURES])
    assert path.stat().st_mtime_ns == before
