"""The asset graph: names, what every asset carries, a snapshot that a change must redraw."""

import json
import os
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from de_stack import naming
from de_stack.contracts import load_all
from de_stack.contracts.day_files import load_all_day_files
from de_stack.definitions import defs
from de_stack.orchestration.drawing import drawn

DOMAINS = Path(__file__).resolve().parents[1] / "domains"


@pytest.fixture(scope="module")
def location() -> dg.Definitions:
    return defs()


@pytest.fixture(scope="module")
def graph(location):  # noqa: ANN201
    return location.resolve_asset_graph()


def test_asset_keys_follow_the_grammar(graph) -> None:
    for key in graph.get_all_asset_keys():
        domain, name = key.path
        layer, _, entity = name.partition("_")
        assert naming.asset_key(domain, layer, entity) == list(key.path)


def test_no_dependency_is_a_typing_error(graph) -> None:
    strays = [k.to_user_string() for k in graph.get_all_asset_keys() if not graph.get(k).group_name]
    assert not strays
    for key in graph.external_asset_keys:
        # Day files are loaded by people: no run of ours makes their bronze.
        is_loaded = key.path[0] in load_all_day_files() and key.path[1].startswith("bronze_")
        assert is_loaded or key.path[1].startswith(("topic_", "live_")), (
            f"{key}: a dependency that nobody defines"
        )


def test_every_asset_carries_group_owner_kinds_docstring_and_schema(graph) -> None:
    for key in graph.get_all_asset_keys():
        node = graph.get(key)
        assert node.group_name == key.path[0], key
        assert node.owners, f"{key}: no owner"
        assert node.kinds, f"{key}: no kind"
        assert len(node.description or "") > 20, f"{key}: the docstring is the catalogue entry"
        assert "dagster/column_schema" in node.metadata, f"{key}: no column schema"
        assert "dagster/table_name" in node.metadata, f"{key}: no table name"


def test_every_partitioned_asset_takes_a_range_in_one_run(graph) -> None:
    for key in graph.materializable_asset_keys:
        node = graph.get(key)
        if node.partitions_def is not None:
            assert node.backfill_policy == dg.BackfillPolicy.single_run(), key


def test_every_stream_is_looked_at_each_hour(location) -> None:
    names = {s.name for s in location.schedules or []}
    assert names >= {f"{s.domain}__{s.entity}__check" for s in load_all().values()}


def test_the_graph_is_the_one_in_the_snapshots(graph, location) -> None:
    """Each domain has its own, so that a new one changes none that is there."""
    domains = sorted({key.path[0] for key in graph.get_all_asset_keys()})
    assert "telemetry" in domains
    for domain in domains:
        text = json.dumps(drawn(location, domain), indent=2) + "\n"
        snapshot = DOMAINS / domain / "asset_graph.json"
        if os.environ.get("DE_STACK_REDRAW"):
            snapshot.parent.mkdir(exist_ok=True)
            snapshot.write_text(text, encoding="utf-8")
        assert snapshot.read_text(encoding="utf-8") == text, (
            f"the asset graph of {domain} has changed; if that is meant: "
            f"DE_STACK_REDRAW=1 pytest {__file__}"
        )


def test_what_belongs_to_no_domain_is_known(graph, location) -> None:
    domains = {key.path[0] for key in graph.get_all_asset_keys()}
    running = [*(location.sensors or []), *(location.schedules or [])]
    house = sorted(s.name for s in running if s.name.split("__")[0] not in domains)
    assert house == ["alerts__send", "alerts__write", "runs__retention", "runs__sweep"]


def test_the_location_loads_in_a_fresh_interpreter_with_nothing_running(tmp_path) -> None:
    code = (
        "import sys, de_stack.definitions as d; d.defs().resolve_asset_graph(); "
        "loaded = [m for m in "
        "('kafka', 'psycopg', 'duckdb', 'deltalake', 'dbt.cli', 'pyspark.sql.connect.session')"
        " if m in sys.modules]; print(','.join(loaded))"
    )
    env = {k: v for k, v in os.environ.items() if not k.startswith(("DE_STACK", "DAGSTER"))}
    env["DE_STACK_HOME"] = str(tmp_path / "nothing")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().splitlines()[-1:] in ([], [""]), (
        f"clients were opened: {done.stdout}"
    )
    assert not (tmp_path / "nothing").exists(), "loading wrote into the state folder"
