"""What git says has changed, in repositories of its own. Does not belong here: what follows."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from de_stack.cli.git import changed_files, top
from de_stack.failures import PermanentFailure


def git(folder: Path, *words: str) -> str:
    person = ("-c", "user.name=me", "-c", "user.email=me@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *person, *words], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def commit(folder: Path, **files: str | None) -> str:
    for name, text in files.items():
        path = folder / name
        if text is None:
            path.unlink()
        else:
            path.write_text(text)
    git(folder, "add", "-A")
    git(folder, "commit", "-m", "x")
    return git(folder, "rev-parse", "HEAD")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path, one="1", two="2", three="a long enough text to be known again")
    return tmp_path


def test_committed_saved_and_new_files_count_and_ignored_ones_do_not(clone: Path) -> None:
    base = git(clone, "rev-parse", "HEAD")
    assert changed_files(clone, "main") == (base, [])
    git(clone, "switch", "-q", "-c", "branch")
    commit(clone, one="changed", **{".gitignore": "hidden\n"})
    (clone / "two").write_text("saved")
    (clone / "größe 1").write_text("new")
    (clone / "hidden").write_text("ignored")
    assert changed_files(clone, "main") == (base, [".gitignore", "größe 1", "one", "two"])
    assert changed_files(clone, "HEAD")[1] == ["größe 1", "two"]


def test_a_moved_file_is_both_and_a_change_taken_back_is_none(clone: Path) -> None:
    git(clone, "mv", "three", "four")
    commit(clone, one="changed")
    (clone / "one").write_text("1")
    assert changed_files(clone, "HEAD~1")[1] == ["four", "three"]


def test_what_others_did_meanwhile_is_no_change_of_ours(clone: Path) -> None:
    base = git(clone, "rev-parse", "HEAD")
    git(clone, "switch", "-q", "-c", "branch")
    commit(clone, one="ours")
    git(clone, "switch", "-q", "main")
    commit(clone, two="theirs")
    git(clone, "switch", "-q", "branch")
    assert changed_files(clone, "main") == (base, ["one"])


def test_a_project_in_a_folder_of_a_repository_sees_its_own_files(clone: Path) -> None:
    (clone / "inner").mkdir()
    (clone / "inner" / "own").write_text("")
    (clone / "outer").write_text("")
    assert changed_files(clone / "inner", "HEAD")[1] == ["own"]
    assert top(clone / "inner") == clone.resolve()


def test_on_a_new_branch_every_file_is_changed(clone: Path) -> None:
    assert changed_files(clone, "0" * 40)[1] == ["one", "three", "two"]


@pytest.mark.parametrize("since", ["no_such", "", "--output=x", "HEAD:one"])
def test_a_commit_that_git_does_not_know_is_named(clone: Path, since: str) -> None:
    with pytest.raises(PermanentFailure, match="git knows no commit") as caught:
        changed_files(clone, since)
    assert repr(since) in str(caught.value)
    assert not (clone / "x").exists()


def test_a_shallow_clone_is_told_to_fetch_the_history(clone: Path, tmp_path: Path) -> None:
    old = git(clone, "rev-parse", "HEAD")
    commit(clone, one="2")
    for words in (["--branch", "main"], []):
        shallow = tmp_path / f"shallow{len(words)}"
        git(clone, "clone", "-q", "--depth", "1", *words, f"file://{clone}", str(shallow))
        with pytest.raises(PermanentFailure, match="shallow clone") as caught:
            changed_files(shallow, old)
        assert "fetch-depth: 0" in str(caught.value)


def test_histories_that_never_met_are_refused(clone: Path) -> None:
    git(clone, "switch", "-q", "--orphan", "other")
    commit(clone, five="5")
    with pytest.raises(PermanentFailure, match="no history in common with 'main'"):
        changed_files(clone, "main")


def test_no_repository_and_no_git_are_two_messages(tmp_path: Path, monkeypatch) -> None:  # noqa: ANN001
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    with pytest.raises(PermanentFailure, match=r"not a git repository.*run it in a clone"):
        changed_files(tmp_path, "main")
    assert top(tmp_path) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PermanentFailure, match="there is no git"):
        changed_files(tmp_path, "main")
