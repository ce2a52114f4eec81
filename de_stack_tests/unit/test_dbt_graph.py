"""What a manifest says, and how that reads in Dagster's words."""

from typing import Any

import dagster as dg
import pytest

from de_stack.failures import PermanentFailure
from de_stack.orchestration.dbt import checks_of, key_of, published, spec_of
from de_stack.resources.dbt_graph import Graph

SILVER, VIEW, MART, TOP = "source.p.d.silver_x", "model.p.stg_x", "model.p.mart_x", "model.p.mart_y"


def _model(uid: str, materialized: str, reads: list[str], **more: Any) -> dict[str, Any]:
    name = uid.split(".")[-1]
    return {
        "unique_id": uid,
        "resource_type": "model",
        "name": name,
        "package_name": "p",
        "fqn": ["p", "d", "folder", name],
        "description": f"About {name}.",
        "columns": {"n": {"name": "n", "data_type": "bigint", "description": "How many."}},
        "checksum": {"checksum": "0123456789abcdef"},
        "depends_on": {"nodes": reads},
        "config": {"materialized": materialized, "meta": {}},
        **more,
    }


def _test(name: str, attached: str | None, reads: list[str]) -> dict[str, Any]:
    return {
        "resource_type": "test",
        "name": name,
        "package_name": "p",
        "fqn": ["p", "d", name],
        "attached_node": attached,
        "column_name": "n",
        "test_metadata": {"name": "not_null"},
        "depends_on": {"nodes": reads},
        "config": {"meta": {}},
    }


@pytest.fixture
def manifest() -> dict[str, Any]:
    source = {
        "unique_id": SILVER,
        "resource_type": "source",
        "name": "silver_x",
        "source_name": "d",
        "package_name": "p",
        "fqn": ["p", "d", "d", "silver_x"],
        "config": {
            "meta": {"owners": ["a@b.example"], "dagster": {"asset_key": ["d", "silver_x"]}}
        },
    }
    return {
        "sources": {SILVER: source},
        "nodes": {
            VIEW: _model(VIEW, "view", [SILVER]),
            MART: _model(MART, "table", [VIEW]),
            TOP: _model(TOP, "table", [MART]),
            "test.p.of_mart": _test("of_mart", MART, [MART]),
            "test.p.of_view": _test("of_view", VIEW, [VIEW]),
            "test.p.of.source": _test("of.source", None, [SILVER]),
        },
    }


def test_a_view_is_no_asset_and_a_table_depends_on_what_the_view_reads(
    manifest: dict[str, Any],
) -> None:
    graph = Graph(manifest)
    specs = {s.key.path[1]: s for s in (spec_of(graph, m) for m in graph.models.values())}
    assert sorted(specs) == ["mart_x", "mart_y"]
    assert [d.asset_key.path for d in specs["mart_x"].deps] == [["d", "silver_x"]]
    assert graph.models[MART].through == (VIEW,)


def test_a_table_that_reads_a_table_depends_on_it_and_not_on_its_sources(
    manifest: dict[str, Any],
) -> None:
    graph = Graph(manifest)
    assert [d.asset_key.path for d in spec_of(graph, graph.models[TOP]).deps] == [["d", "mart_x"]]


def test_an_asset_has_group_owner_description_columns_and_code_version(
    manifest: dict[str, Any],
) -> None:
    graph = Graph(manifest)
    spec = spec_of(graph, graph.models[MART])
    assert (spec.group_name, list(spec.owners)) == ("d", ["a@b.example"])
    assert (spec.description, spec.code_version) == ("About mart_x.", "0123456789ab")
    assert spec.metadata["dagster/table_name"] == "warehouse.d.mart_x"
    assert [c.name for c in spec.metadata["dagster/column_schema"].columns] == ["n"]


def test_tests_of_views_and_sources_are_checks_of_the_tables_that_read_them(
    manifest: dict[str, Any],
) -> None:
    found = {(c.name, c.asset_key.path[1]) for c in checks_of(Graph(manifest))}
    assert found == {("of_mart", "mart_x"), ("of_view", "mart_x"), ("of_source", "mart_x")}


def test_a_name_outside_the_grammar_is_refused(manifest: dict[str, Any]) -> None:
    manifest["nodes"]["model.p.report"] = _model("model.p.report", "table", [VIEW])
    graph = Graph(manifest)
    with pytest.raises(ValueError, match="layer 'report'"):
        key_of(graph.models["model.p.report"])


def test_selectors_name_models_by_path_and_sources_by_source(manifest: dict[str, Any]) -> None:
    graph = Graph(manifest)
    assert graph.selector(MART) == "fqn:p.d.folder.mart_x"
    assert graph.selector(SILVER) == "source:p.d.silver_x"


def test_a_published_mart_is_an_asset_of_its_own_behind_the_mart(manifest: dict[str, Any]) -> None:
    manifest["nodes"][MART]["config"]["meta"] = {"publish": {"key": ["n"]}}
    graph = Graph(manifest)
    assert graph.models[MART].publish_key == ("n",)
    copy = published(graph, graph.models[MART])
    assert copy.key == dg.AssetKey(["d", "published_mart_x"])
    assert copy.asset_deps[copy.key] == {dg.AssetKey(["d", "mart_x"])}


def test_a_mart_without_a_source_of_its_own_cannot_be_published(manifest: dict[str, Any]) -> None:
    graph = Graph(manifest)
    with pytest.raises(PermanentFailure, match="reads 0 sources"):
        published(graph, graph.models[TOP])
