"""What one service goes through when it is started, against a supervisord that only takes notes.

Belongs here: interruption, restarts, what is said. Does not belong here: a real process
(`integration/`).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from de_stack.local import (
    home_folder,
    own_code,
    ports,
    processes,
    stack,
    starting,
    state,
    supervisor,
)
from de_stack.local.service import Service, Site
from de_stack.local.starting import Starter


class Notes:
    """Stands in for supervisord: what it was asked, in order, and what it keeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self.kept: dict[str, dict[str, Any]] = {}
        self.digests: dict[str, str] = {}
        monkeypatch.setattr(supervisor, "processes", lambda _home: dict(self.kept))
        monkeypatch.setattr(supervisor, "configure", self._configure)
        monkeypatch.setattr(supervisor, "begin", self._begin)
        monkeypatch.setattr(supervisor, "stop", self._stop)

        monkeypatch.setattr(
            supervisor, "configured_digest", lambda _site, name: self.digests.get(name)
        )
        # All that it keeps is one process, which listens wherever it is asked.
        monkeypatch.setattr(processes, "listens", lambda *_: True)

    def _configure(self, _site: Site, service: Service, _spec: object, digest: str) -> None:
        self.asked.append(f"configure {service.name}")
        self.digests[service.name] = digest

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


def test_who_reads_our_code_is_restarted_when_it_has_changed(
    site: Site, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    reader = replace(a_service(), name="reader", reads_code=True)
    for _ in range(2):
        for service in (a_service(), reader):
            Starter(site, threading.Event(), said.append).bring_up(service)
    assert notes.asked.count("begin reader") == notes.asked.count("begin echo") == 1
    monkeypatch.setattr(own_code, "digest", lambda: "another")
    for service in (a_service(), reader):
        Starter(site, threading.Event(), said.append).bring_up(service)
    assert (notes.asked.count("begin reader"), notes.asked.count("begin echo")) == (2, 1)
    assert any(line.startswith("reader: restarting (its settings or its code") for line in said)


@pytest.mark.parametrize(("looks", "stops"), [(3, 0), (10_000, 1)])
def test_who_is_busy_for_a_moment_is_left_alone_and_who_never_answers_is_begun_again(
    site: Site, notes: Notes, monkeypatch: pytest.MonkeyPatch, looks: int, stops: int
) -> None:
    monkeypatch.setattr(starting, "_BUSY_SECONDS", 0.3 if stops else 60.0)
    monkeypatch.setattr(starting, "_NEWS_SECONDS", 0.1 if stops else 60.0)
    said: list[str] = []
    missing: list[str] = []

    def probe(_site: Site) -> str:
        return missing.pop() if missing else ""

    service = a_service(probe=probe)
    Starter(site, threading.Event(), said.append).bring_up(service)
    missing += ["an answer"] * looks
    begin = notes.asked.count("begin echo")
    monkeypatch.setattr(
        supervisor, "stop", lambda *_: (missing.clear(), notes.asked.append("stop"))
    )
    took = Starter(site, threading.Event(), said.append).bring_up(service)
    assert notes.asked.count("stop") == stops
    assert notes.asked.count("begin echo") == begin + stops
    assert (took is not None) == bool(stops)
    assert sum("echo: does not answer; it has" in line for line in said) == stops


def test_code_is_what_is_loaded_and_not_what_was_made_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = tmp_path / "code"
    (code / "defs" / "x").mkdir(parents=True)
    (code / "a.py").write_text("1")
    monkeypatch.setattr(own_code, "_LOADED", ((code, ("*.py", "*.yaml")),))
    before = own_code.digest()
    (code / "__pycache__").mkdir()
    (code / "__pycache__" / "a.pyc").write_text("1")
    assert own_code.digest() == before
    (code / "defs" / "x" / "contract.odcs.yaml").write_text("a: 1")
    with_contract = own_code.digest()
    (code / "a.py").write_text("2")
    assert len({before, with_contract, own_code.digest()}) == 3


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


@pytest.fixture
def house(site: Site, notes: Notes, monkeypatch: pytest.MonkeyPatch) -> dict[str, Service]:
    """A door with an address, two that follow it, and one that does not care; all of them run."""
    common: dict[str, Any] = {"command": lambda _: ["true"], "probe": lambda _: ""}
    found = [
        Service(
            name="door",
            ports={"door": 18080},
            addresses=lambda site: {"collector_url": f"http://127.0.0.1:{site.ports['door']}"},
            **common,
        ),
        Service(
            name="client", depends_on=("door",), follows=frozenset({"collector_url"}), **common
        ),
        Service(
            name="idle", depends_on=("client",), follows=frozenset({"collector_url"}), **common
        ),
        Service(name="hermit", follows=frozenset({"namespace"}), **common),
    ]
    services = {service.name: service for service in found}
    monkeypatch.setattr(stack, "SERVICES", services)
    stack._start(site.home, found, lambda _line: None)
    notes.asked.clear()
    return services


def take_the_port_of_the_door(notes: Notes, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """The door is down, and somebody else comes to its port."""
    del notes.kept["door"]
    taken = state.load(home)["ports"]["door"]
    is_free = ports.is_free
    monkeypatch.setattr(ports, "is_free", lambda port: port != taken and is_free(port))


def test_when_a_port_moves_those_that_run_and_follow_its_address_are_restarted_and_it_is_said(
    house: dict[str, Service], site: Site, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_the_port_of_the_door(notes, monkeypatch, site.home)
    del notes.kept["idle"]
    said: list[str] = []
    took = stack._start(site.home, [house["door"]], said.append)
    assert took.keys() == {"door", "client"}
    assert "restarting, too, what follows: client" in said
    begun = [line for line in notes.asked if line.startswith("begin")]
    assert begun == ["begin door", "begin client"]


def test_what_follows_is_not_forgotten_when_ports_are_chosen_again(
    house: dict[str, Service], site: Site, notes: Notes, monkeypatch: pytest.MonkeyPatch
) -> None:
    take_the_port_of_the_door(notes, monkeypatch, site.home)
    start_all, rounds = stack._start_all, []

    def first_time_too_late(site: Site, wanted: list[Service], *rest: Any) -> None:
        rounds.append([service.name for service in wanted])
        if len(rounds) == 1:
            del notes.kept["client"]
            raise ports.PortTaken("start client", "port 1 was taken", "again")
        start_all(site, wanted, *rest)

    monkeypatch.setattr(stack, "_start_all", first_time_too_late)
    stack._start(site.home, [house["door"]], lambda _line: None)
    assert rounds == [["door", "client", "idle"]] * 2
    assert {"door", "client", "idle"} <= notes.kept.keys()


def test_nobody_is_restarted_when_no_address_has_changed(
    house: dict[str, Service], site: Site, notes: Notes
) -> None:
    del notes.kept["door"]
    assert stack._start(site.home, [house["door"]], lambda _line: None).keys() == {"door"}
    assert notes.asked == ["configure door", "begin door"]
