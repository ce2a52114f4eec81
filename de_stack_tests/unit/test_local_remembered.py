"""What `up` remembers of the environment. Belongs here: refusing and forgetting; nothing runs."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from de_stack.failures import PermanentFailure
from de_stack.local import doctor, stack, state
from de_stack.settings import Settings


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home that does not exist yet, and an environment that knows of nothing else."""
    for name in os.environ:
        if name.startswith("DE_STACK_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("DE_STACK_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def remember(home: Path) -> dict[str, str]:
    """What an `up` of no service writes down."""
    home.mkdir(exist_ok=True)
    stack._remember(home, [], lambda _port: True, print)
    return json.loads((home / "state.json").read_text())["settings"]


@pytest.mark.parametrize("command", [stack.up, stack.restart])
def test_a_wrong_setting_is_refused_before_anything_is_touched(
    home: Path, monkeypatch: pytest.MonkeyPatch, command
) -> None:
    monkeypatch.setenv("DE_STACK_NAMESPACE", "Alice-1")
    with pytest.raises(PermanentFailure, match="DE_STACK_NAMESPACE: namespace 'Alice-1': use a-z"):
        command(["postgres"])
    assert not home.exists()


def test_what_up_was_given_is_remembered_until_it_is_given_as_nothing(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DE_STACK_GENERATOR_RATE", "500")
    monkeypatch.setenv("DE_STACK_NAMESPACE", "alice")
    remember(home)
    monkeypatch.delenv("DE_STACK_NAMESPACE")
    monkeypatch.setenv("DE_STACK_GENERATOR_RATE", "")
    known = remember(home)
    assert "generator_rate" not in known
    assert known["namespace"] == "alice"
    assert (Settings().generator_rate, Settings().namespace) == (None, "alice")


def test_a_wrong_setting_that_is_remembered_is_found_by_doctor_and_can_be_forgotten(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.mkdir()
    state.save(home, {"settings": {"namespace": "Alice-1"}})
    found = doctor.settings()
    assert not found.is_ok
    assert found.fix == "`DE_STACK_NAMESPACE= de-stack up` forgets it"
    with pytest.raises(PermanentFailure, match="remembered by `up`"):
        stack.check_settings()
    monkeypatch.setenv("DE_STACK_NAMESPACE", "")
    stack.check_settings()
    assert "namespace" not in remember(home)
    assert doctor.settings().is_ok
