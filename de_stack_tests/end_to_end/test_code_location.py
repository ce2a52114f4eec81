"""Every way into the code location opens the same one: workspace file, `dg`, module."""

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import yaml

from de_stack.definitions import defs

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def run(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(BIN / command[0]), *command[1:]],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=180,
    )


def test_workspace_and_dg_name_the_same_module_and_location() -> None:
    workspace = yaml.safe_load((REPOSITORY / "workspace.yaml").read_text(encoding="utf-8"))
    (entry,) = workspace["load_from"]
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["dg"]["project"]
    assert entry["python_module"] == {
        "module_name": project["code_location_target_module"],
        "location_name": project["code_location_name"],
    }


def test_the_workspace_file_validates() -> None:
    done = run("dagster", "definitions", "validate", "-w", "workspace.yaml")
    assert done.returncode == 0, done.stderr


def test_dg_lists_the_assets_that_the_module_has() -> None:
    done = run("dg", "list", "defs", "--json")
    assert done.returncode == 0, done.stderr
    listed = {asset["asset_key"] for asset in json.loads(done.stdout)["assets"]}
    graph = defs().resolve_asset_graph()
    assert listed == {key.to_user_string() for key in graph.get_all_asset_keys()}
