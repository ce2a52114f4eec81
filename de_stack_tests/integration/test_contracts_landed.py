"""`de-stack contracts diff landed`: what bronze was written with, from git and the ledger."""

import json
import shutil
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from de_stack.cli import contracts as command
from de_stack.contracts import load, load_stream
from de_stack.failures import PermanentFailure
from de_stack.flow import land
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import measure, produce

STREAM = load_stream("telemetry.measures")
FILE = "telemetry/contract.odcs.yaml"
NEXT = STREAM.version.replace("1.", "9.", 1)


@pytest.fixture
def committed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """A repository of contracts: what commits a version of telemetry's, the landed one first."""
    text = (load.DEFS / FILE).read_text()

    def git(*words: str) -> None:
        who = ["-c", "user.name=a test", "-c", "user.email=test@example.org"]
        subprocess.run(["git", *who, *words], cwd=tmp_path, check=True, capture_output=True)

    def commit(version: str) -> None:
        (tmp_path / FILE).write_text(text.replace(f"version: {STREAM.version}", version))
        git("add", "-A")
        git("commit", "-qm", version)

    git("init", "-q")
    (tmp_path / FILE).parent.mkdir()
    commit(f"version: {STREAM.version}")
    monkeypatch.setattr(load, "DEFS", tmp_path)
    return commit


def diff(*words: str) -> Any:
    app = typer.Typer()
    command.register(app)
    said = CliRunner().invoke(app, ["contracts", "diff", *words, "--json"])
    if said.exception and not isinstance(said.exception, SystemExit):
        raise said.exception
    return json.loads(said.stdout)


def test_a_new_contract_is_held_against_the_one_that_bronze_was_written_with(
    settings: Settings,
    spark: Callable[[], Any],
    committed: Callable[[str], None],
    tmp_path: Path,
) -> None:
    with pytest.raises(PermanentFailure, match="nothing has landed yet"):
        diff("landed", str(tmp_path / FILE))
    produce(settings, [measure("a", 1.0, datetime.now(UTC))])
    land.land(settings, STREAM, spark, "test")
    # Two commits later, and the working tree is another one again.
    for i in range(2):
        committed(f"version: {NEXT}{i}")
    assert diff("landed", str(tmp_path / FILE))["versions"][0]["old"] == STREAM.version

    shutil.rmtree(tmp_path / ".git")
    with pytest.raises(PermanentFailure, match="git"):
        diff("landed", str(tmp_path / FILE))
