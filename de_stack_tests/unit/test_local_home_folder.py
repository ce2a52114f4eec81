"""Which folders become a home, and which are removed.

Belongs here: folders that are not started in. Does not belong here: a stack's life
(`integration/test_local_life.py`).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from de_stack.failures import PermanentFailure
from de_stack.local import home_folder, stack


@pytest.fixture
def pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of somebody's own that DE_STACK_HOME names."""
    folder = tmp_path / "pictures"
    folder.mkdir(mode=0o755)
    (folder / "holiday.jpg").write_bytes(b"sun")
    monkeypatch.setenv("DE_STACK_HOME", str(folder))
    return folder


@pytest.mark.parametrize("path", ["/tmp/a:b", "/tmp/a;b", "/tmp/a,b", "/tmp/a%b"])
def test_a_home_that_would_break_class_paths_is_refused(path: str) -> None:
    with pytest.raises(PermanentFailure, match="set DE_STACK_HOME"):
        home_folder.make_home(Path(path))


def test_purge_does_not_remove_or_touch_a_folder_that_is_no_home(pictures: Path) -> None:
    with pytest.raises(PermanentFailure, match=r"remove .*holds holiday\.jpg and is no home"):
        stack.down(purge=True)
    assert [path.name for path in pictures.iterdir()] == ["holiday.jpg"]


def test_up_does_not_use_or_touch_a_folder_that_is_no_home(pictures: Path) -> None:
    with pytest.raises(PermanentFailure, match=r"as home: it holds .*fix: set DE_STACK_HOME to"):
        stack.up(["postgres"])
    assert [path.name for path in pictures.iterdir()] == ["holiday.jpg"]
    assert pictures.stat().st_mode & 0o777 == 0o755


def test_removing_asks_for_itself_whether_the_folder_is_a_home(
    pictures: Path,
) -> None:
    with pytest.raises(PermanentFailure, match="remove"):
        home_folder.remove_home(pictures)
    assert (pictures / "holiday.jpg").exists()


@pytest.mark.parametrize("content", [[], [".lock"]])
def test_a_new_or_empty_folder_becomes_a_home_and_is_removed_with_all_in_it(
    tmp_path: Path, content: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "home"
    monkeypatch.setenv("DE_STACK_HOME", str(home))
    for name in content:
        home.mkdir()
        (home / name).touch()
    home_folder.make_home(home)
    (home / "data" / "something").touch()
    home_folder.make_home(home)
    stack.down(purge=True)
    assert not home.exists()


@pytest.mark.parametrize("sign", ["state.json", "supervisor/supervisord.conf"])
def test_a_home_from_before_there_was_a_mark_is_used_marked_and_removed(
    tmp_path: Path, sign: str
) -> None:
    for part in ("data", "supervisor"):
        (tmp_path / part).mkdir()
    (tmp_path / sign).write_text("{}")
    home_folder.make_home(tmp_path)
    (tmp_path / sign).unlink()
    home_folder.remove_home(tmp_path)
    assert not tmp_path.exists()


def test_what_setup_put_there_before_the_first_up_is_no_strangers(tmp_path: Path) -> None:
    for part in ("duckdb_extensions", "generator"):
        (tmp_path / part).mkdir()
    assert home_folder.is_home(tmp_path)
    (tmp_path / "holiday.jpg").touch()
    assert not home_folder.is_home(tmp_path)


def test_a_folder_that_only_looks_a_little_like_a_home_is_none(tmp_path: Path) -> None:
    (tmp_path / "generator").mkdir()
    with pytest.raises(PermanentFailure, match="holds generator and is no home"):
        home_folder.make_home(tmp_path)


def test_a_file_in_the_place_of_the_home_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PermanentFailure, match="it is no folder"):
        home_folder.make_home(tmp_path / "file")
