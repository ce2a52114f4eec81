"""What one service goes through when it is started, against a supervisord that only takes notes.

Belongs here: interruption, restarts, what is said. Does not belong here: a real process
(`integration/`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from de_stack.local import home_folder, stack, supervisor
from de_stack.local.service import Service, Site
from de_stack.local.starting import Starter


class Notes:
    """Stands in for supervisord: what it was asked, in order, and what it keeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.kept: dict[str, dict[str, Any]] = {}
        monkeypatch.setattr(supervisor, "processes", lambda _home: dict(self.kept))
        monkeypatch.setattr(supervisor, "configure", self._configure)
        monkeypatch.setattr(supervisor, "begin", self._begin)
        monkeypatch.setattr(supervisor, "stop", self._stop)

    def _configure(self, _site: Site, service: Service, *_: object) -> None:
        self.asked.append(f"configure {service.name}")

    def _begin(self, _home: Path, name: str) -> None:
        self.asked.append(f"begin {name}")
        self.kept[name] = {"name": name, "state": supervisor.RUNNING, "pid": 1}

    def _stop(self, _home: Path, name: str) -> None:
        self.asked.append(f"stop {name}")
        self.kept.pop(name, None)


@pytest.fixture
def notes(monkeypatch: pytest.MonkeyPatch) -> Notes:
    return Notes(monkeypatch)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Site:
    home = tmp_path / "home"
    home_folder.make_home(home)
    monkeypatch.setenv("DE_STACK_HOME", str(home))
    return Site(home, {})


def a_service(
    prepare: Callable[[Site], None] = lambda _: None, probe: Callable[[Site], str] = lambda _: ""
) -> Service:
    return Service(name="echo", command=lambda _: ["true"], probe=probe, prepare=prepare)


def test_who_interrupts_while_a_service_is_prepared_starts_nothing(
    site: Site, notes: Notes
) -> None:
    starter = Starter(site, threading.Event(), lambda _line: None)
    assert starter.bring_up(a_service(prepare=lambda _: starter.interrupt())) is None
    assert "begin echo" not in notes.asked


def test_who_interrupts_while_a_service_comes_up_stops_it(site: Site, notes: Notes) -> None:
    starter = Starter(site, threading.Event(), lambda _line: None)

    def probe(_site: Site) -> str:
        starter.interrupt()
        return "an answer"

    assert starter.bring_up(a_service(probe=probe)) is None
    assert notes.asked[-2:] == ["begin echo", "stop echo"]


def test_who_interrupts_when_a_service_fails_at_its_end_stops_it(site: Site, notes: Notes) -> None:
    starter = Starter(site, threading.Event(), lambda _line: None)

    def probe(_site: Site) -> str:
        starter.interrupt()
        raise OSError("no file handle is left")

    with pytest.raises(OSError, match="no file handle"):
        starter.bring_up(a_service(probe=probe))
    assert notes.asked[-2:] == ["begin echo", "stop echo"]


def test_a_failure_of_another_service_leaves_what_was_begun_to_the_next_up(
    site: Site, notes: Notes
) -> None:
    cancelled = threading.Event()

    def probe(_site: Site) -> str:
        cancelled.set()
        return "an answer"

    starter = Starter(site, cancelled, lambda _line: None)
    assert starter.bring_up(a_service(probe=probe)) is None
    assert notes.asked[-1] == "begin echo"


def test_ctrl_c_in_up_leaves_no_service_that_was_being_prepared(
    site: Site, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    preparing, interrupted = threading.Event(), threading.Event()

    def prepare(_site: Site) -> None:
        preparing.set()
        assert interrupted.wait(10)

    def interrupting(_seconds: float) -> None:
        assert preparing.wait(10)
        raise KeyboardInterrupt

    def say(line: str) -> None:
        if line.startswith("interrupted"):
            interrupted.set()

    class Clock:
        sleep = staticmethod(interrupting)

    monkeypatch.setattr(stack, "time", Clock)
    with pytest.raises(KeyboardInterrupt):
        stack._start_all(site, [a_service(prepare=prepare)], {}, say)
    assert notes.kept == {}
