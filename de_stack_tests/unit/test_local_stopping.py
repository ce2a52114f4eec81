"""Stopping a stack of which nothing runs, or whose state is broken.

Belongs here: what needs no process. Does not belong here: real services (`integration/`).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from de_stack.failures import PermanentFailure
from de_stack.local import home_folder, stack, state


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which nothing runs."""
    folder = tmp_path / "home"
    home_folder.make_home(folder)
    monkeypatch.setenv("DE_STACK_HOME", str(folder))
    return folder


@pytest.mark.parametrize("text", ["{", "[]", "\udcff"])
def test_the_fix_for_a_broken_state_can_be_followed(home: Path, text: str) -> None:
    path = home / "state.json"
    path.write_text(text, errors="surrogateescape")
    with pytest.raises(PermanentFailure, match=r"run `de-stack down`, remove the file"):
        state.load(home)
    said: list[str] = []
    stack.down(said.append)
    assert [line for line in said if line.startswith(f"left as it is: read {path}")]
    assert path.read_text(errors="surrogateescape") == text
    path.unlink()
    home_folder.make_home(home)


def test_a_home_whose_state_is_broken_can_be_removed(home: Path) -> None:
    (home / "state.json").write_text("{")
    stack.down(purge=True)
    assert not home.exists()


def test_down_writes_down_that_nothing_shall_run(home: Path) -> None:
    state.save(home, {"services": {"postgres": {"wanted": True, "log": ""}}})
    stack.down()
    assert state.load(home)["services"]["postgres"]["wanted"] is False


def test_down_of_a_home_in_which_nothing_was_started_writes_no_state(home: Path) -> None:
    stack.down()
    assert not (home / "state.json").exists()
