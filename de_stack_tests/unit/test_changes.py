"""Changed files -> assets, on the real graph. Belongs here: which file reaches what.

Does not belong here: asking git (`test_cli_git.py`), runs (`integration/test_changed.py`).
"""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest
import yaml

from de_stack.cli.changed_run import sample
from de_stack.definitions import defs
from de_stack.failures import PermanentFailure
from de_stack.orchestration.bringing import Bringing, open_period, selection
from de_stack.orchestration.changes import Changes
from de_stack.orchestration.imports import Imports
from de_stack_tests.services import REPOSITORY

STATS = {"stats_measures", "maintained_stats_measures", "published_stats_measures"}
MARTS = {"mart_daily_metrics", "published_mart_daily_metrics"}
SILVER = {"silver_measures", "maintained_silver_measures", *STATS, *MARTS}
MEASURES = {"bronze_measures", "maintained_bronze_measures", "dead_measures", *SILVER}


@pytest.fixture(scope="module")
def location() -> dg.Definitions:
    return defs()


@pytest.fixture(scope="module")
def changes(location) -> Changes:  # noqa: ANN001
    return Changes(location, REPOSITORY)


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("de_stack/defs/telemetry/contract.odcs.yaml", MEASURES),
        ("de_stack/defs/telemetry/__init__.py", MEASURES),
        # The topic is no run of ours, what lies below it is.
        ("de_stack/defs/telemetry/collect.py", MEASURES),
        ("de_stack/defs/telemetry/land.py", MEASURES),
        ("de_stack/defs/telemetry/refine.py", SILVER),
        ("de_stack/defs/telemetry/reject.py", {"dead_measures"}),
        ("de_stack/defs/telemetry/serve.py", STATS),
        # Imported by serve.py; that verify.py and maintain.py import serve.py adds nothing.
        ("de_stack/defs/telemetry/core/rules.py", STATS),
        ("de_stack/defs/telemetry/core/__init__.py", STATS),
        # Checks: the assets that they look at, and no more.
        (
            "de_stack/defs/telemetry/verify.py",
            {"bronze_measures", "silver_measures", "stats_measures"},
        ),
        (
            "de_stack/defs/telemetry/maintain.py",
            {f"maintained_{layer}_measures" for layer in ("bronze", "silver", "stats")},
        ),
        ("de_stack/defs/telemetry/watch.py", set()),
        # A file that is gone, or that nobody imports, may have been anything.
        ("de_stack/defs/telemetry/gone.py", MEASURES),
        ("de_stack_tests/domains/telemetry/sample.yaml", MEASURES),
        ("dbt_project/models/telemetry/marts/mart_daily_metrics.sql", MARTS),
        ("dbt_project/models/telemetry/marts/_marts.yml", MARTS),
        ("dbt_project/models/telemetry/staging/stg_telemetry__measures.sql", MARTS),
        ("dbt_project/models/telemetry/staging/gone.sql", MARTS),
    ],
)
def test_a_file_of_a_domain_reaches_what_is_certain_or_all_of_it(
    changes: Changes, path: str, names: set[str]
) -> None:
    found = {key.to_user_string() for key in changes.reach(path).assets}
    assert found == {f"telemetry/{name}" for name in names}


def test_a_file_that_nothing_in_its_domain_imports_reaches_the_domain(changes: Changes) -> None:
    # `de-stack load` imports it by a name that it puts together.
    found = changes.reach("de_stack/defs/tweets/core/reach.py")
    assert {key.path[0] for key in found.assets} == {"tweets"}
    assert found.assets == changes.reach("de_stack/defs/tweets/contract.odcs.yaml").assets


@pytest.mark.parametrize(
    "path",
    [
        "de_stack/flow/land.py",
        "de_stack/orchestration/assets.py",
        "de_stack/resources/kafka.py",
        "de_stack/contracts/load.py",
        "de_stack/settings.py",
        "de_stack/definitions.py",
        "de_stack/local/kafka.py",
        "requirements/core.lock",
        "pyproject.toml",
    ],
)
def test_code_that_domains_share_reaches_every_asset(changes: Changes, location, path: str) -> None:  # noqa: ANN001
    assert set(changes.reach(path).assets) == set(
        location.resolve_asset_graph().materializable_asset_keys
    )


def test_what_all_dbt_models_share_reaches_every_model(changes: Changes, location) -> None:  # noqa: ANN001
    graph = location.resolve_asset_graph()
    models = {key for key in graph.get_all_asset_keys() if "dbt" in graph.get(key).kinds}
    for path in ("dbt_project/macros/names.sql", "dbt_project/dbt_project.yml"):
        assert models < set(changes.reach(path).assets), path


@pytest.mark.parametrize(
    "path",
    [
        "README.md",
        "docs/ci.md",
        "de_stack/defs/telemetry/notes.md",
        "de_stack_tests/unit/test_naming.py",
        "de_stack_tests/domains/telemetry/asset_graph.json",
        "de_stack/cli/new.py",
        "de_stack/scaffold/write.py",
        "de_stack/defs/old_runs.py",
        "de_stack/defs/no_such_domain/land.py",
        "benchmarks/__main__.py",
    ],
)
def test_documentation_tests_and_commands_reach_nothing(changes: Changes, path: str) -> None:
    assert not changes.reach(path).assets


def test_all_that_files_reach_is_in_the_order_of_a_run(changes: Changes) -> None:
    paths = ("dbt_project/models/telemetry/marts/_marts.yml", "de_stack/defs/telemetry/land.py")
    names = [key.path[1] for key in changes.union(map(changes.reach, paths))]
    assert set(names) == MEASURES and len(names) == len(MEASURES)
    order = ("bronze_measures", "silver_measures", "stats_measures", "published_stats_measures")
    assert sorted(order, key=names.index) == list(order)


def test_imports_are_followed_in_every_spelling(tmp_path: Path) -> None:
    (tmp_path / "core").mkdir()
    texts = {
        "__init__.py": "",
        "core/__init__.py": "",
        "core/rules.py": "import math",
        "core/more.py": "from . import rules",
        "a.py": "import lab.core.rules as r",
        "b.py": "def f():\n    from lab.core.rules import x",
        "c.py": "from .core import more",
        "d.py": "from lab.c import y",
        "e.py": "from lab.core import other",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    imports = Imports(tmp_path, "lab")
    above = {"lab.core.rules", "lab.core.more", "lab.a", "lab.b", "lab.c", "lab.d"}
    assert imports.above("lab.core.rules") == above
    assert imports.above("lab.core.rules", {"lab.c"}) == above - {"lab.d"}
    # A package runs before what lies in it.
    assert "lab.e" in imports.above("lab.core")


def test_a_plan_brings_what_the_wanted_assets_read_and_nothing_else(location) -> None:  # noqa: ANN001
    bringing = Bringing(location)
    mart = dg.AssetKey(["telemetry", "published_mart_daily_metrics"])
    plan = bringing.plan([mart])
    assert plan.domains == ("telemetry",)
    assert [k.path[1] for k in plan.landed] == ["bronze_measures"]
    assert [[k.path[1] for k in d.keys] for d in plan.derived] == [["silver_measures"]]
    assert plan.derived[0].grain == "hour"
    assert [k.path[1] for k in plan.whole] == ["mart_daily_metrics", "published_mart_daily_metrics"]

    # Day files are loaded by people: their bronze is not landed.
    replies = bringing.plan([dg.AssetKey(["tweets", "published_gold_replies"])])
    assert (replies.domains, replies.landed, replies.whole) == (("tweets",), (), ())
    assert [(len(d.keys), d.grain) for d in replies.derived] == [(2, "day")]
    both = bringing.plan([mart, dg.AssetKey(["tweets", "gold_replies"])])
    assert both.domains == ("telemetry", "tweets") and len(both.derived) == 2


def test_a_selection_is_what_dagster_reads_as_these_assets(location) -> None:  # noqa: ANN001
    keys = {dg.AssetKey(["telemetry", name]) for name in MARTS}
    text = selection(sorted(keys))
    assert dg.AssetSelection.from_string(text).resolve(location.resolve_asset_graph()) == keys


def test_the_open_period_is_spelled_as_the_streams_partitions_are(location) -> None:  # noqa: ANN001
    from datetime import UTC, datetime

    bronze = dg.AssetKey(["telemetry", "bronze_measures"])
    at = datetime(2026, 11, 21, 13, 59, tzinfo=UTC)
    assert open_period(bronze, at) == "2026-11-21-13:00"
    definition = location.resolve_asset_graph().get(bronze).partitions_def
    assert definition.has_partition_key(open_period(bronze, datetime.now(UTC)))


@pytest.mark.parametrize("domain", ["telemetry", "tweets"])
def test_the_domains_that_come_along_have_a_sample(domain: str) -> None:
    for words in sample(REPOSITORY, domain):
        assert words[0] in ("generate", "load") and domain in words[1]


@pytest.mark.parametrize("text", [None, "[]", "- replay", "- [generate, a.b, 5]", "{", "- []"])
def test_a_sample_that_says_nothing_is_refused_with_an_example(tmp_path: Path, text) -> None:  # noqa: ANN001
    folder = tmp_path / "de_stack_tests" / "domains" / "lab"
    folder.mkdir(parents=True)
    if text is not None:
        (folder / "sample.yaml").write_text(text)
    with pytest.raises(PermanentFailure, match="domains/lab/sample.yaml") as caught:
        sample(tmp_path, "lab")
    assert all(isinstance(w, list) for w in yaml.safe_load(str(caught.value.fix).split("\n", 1)[1]))
