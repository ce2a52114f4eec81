"""The manifest: made once, again when something changed, never with a service."""

import shutil
from pathlib import Path

import pytest

from de_stack.failures import PermanentFailure
from de_stack.resources import dbt, dbt_process
from de_stack.resources.dbt_process import Said


def test_the_manifest_is_made_once_and_again_after_a_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "dbt_project"
    derived = shutil.ignore_patterns("target", "_sources.yml")
    shutil.copytree(dbt.PROJECT, project, ignore=derived)
    # A shell with somebody else's dbt in it, and none of our variables.
    monkeypatch.setenv("DBT_TARGET", "prod")
    monkeypatch.setenv("DBT_PROFILES_DIR", "/nowhere")
    path = dbt.prepare(project=project)
    assert path == project / "target" / "manifest.json"
    assert {p.name for p in path.parent.iterdir()} == {"manifest.json", "manifest.sha256"}
    assert (project / "models" / "telemetry" / "staging" / "_sources.yml").exists()
    assert not (project / "logs").exists()

    started: list[list[str]] = []

    def refuse(arguments: list[str], *_: object, **__: object) -> Said:
        started.append(arguments)
        return Said(2, "Compilation Error in model x")

    monkeypatch.setattr(dbt_process, "run", refuse)
    dbt.prepare(project=project)
    assert not started

    model = project / "models" / "telemetry" / "marts" / "mart_daily_metrics.sql"
    model.write_text(model.read_text() + "\n")
    with pytest.raises(PermanentFailure, match="Compilation Error in model x"):
        dbt.prepare(project=project)
    assert len(started) == 1
    # A project that does not parse keeps its last good manifest, and stays marked as old.
    assert path.exists()
    with pytest.raises(PermanentFailure):
        dbt.prepare(project=project)


def test_a_lost_sources_file_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(dbt.prepare().parents[1], tmp_path / "p")
    sources = tmp_path / "p" / "models" / "telemetry" / "staging" / "_sources.yml"
    sources.unlink()

    def parse(_: object, __: object, folder: Path, *___: object, **____: object) -> Said:
        (folder / "manifest.json").write_text("{}")
        return Said(0, "")

    monkeypatch.setattr(dbt_process, "run", parse)
    dbt.prepare(project=tmp_path / "p")
    assert sources.exists()
