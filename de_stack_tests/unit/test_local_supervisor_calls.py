"""What becomes of a remote call when supervisord is away, hangs or refuses.

Belongs here: sockets that behave badly. Does not belong here: what supervisord is told to keep
(`test_local_supervisor.py`), a real one (`integration/`).
"""

from __future__ import annotations

import socket
import xmlrpc.client
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from de_stack.failures import Failure, PermanentFailure, TransientFailure
from de_stack.local import home_folder, processes, stack, supervisor, supervisor_calls
from de_stack.local.service import Service, Site


@pytest.fixture
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which nothing runs. Its name is short: so the socket lies in it."""
    folder = tmp_path_factory.mktemp("s") / "home"
    home_folder.make_home(folder)
    monkeypatch.setenv("DE_STACK_HOME", str(folder))
    monkeypatch.setattr(supervisor, "_ANSWER_SECONDS", 0.2)
    return folder


@pytest.fixture
def silent(home: Path) -> Iterator[Path]:
    """A home whose supervisord takes calls and never answers one."""
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as server:
        server.bind(str(supervisor_calls.socket_path(home)))
        server.listen(16)
        yield home


def test_no_socket_or_one_that_nobody_listens_at_means_that_nothing_runs(home: Path) -> None:
    assert (supervisor.processes(home), supervisor.is_alive(home)) == ({}, False)
    with closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as gone:
        gone.bind(str(supervisor_calls.socket_path(home)))
    assert (supervisor.processes(home), supervisor.is_alive(home)) == ({}, False)


def test_no_answer_is_not_an_empty_one(silent: Path) -> None:
    for ask in (supervisor.processes, supervisor.is_alive):
        with pytest.raises(TransientFailure, match="gave no answer .*timed out.*a retry can help"):
            ask(silent)


def test_up_ends_nothing_and_starts_no_second_supervisord_when_the_first_gives_no_answer(
    silent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[object] = []
    monkeypatch.setattr(processes, "end", done.append)
    monkeypatch.setattr(supervisor.subprocess, "run", lambda *_, **__: done.append("started"))
    with pytest.raises(TransientFailure, match="ask supervisord what runs"):
        stack.up(["postgres"])
    with pytest.raises(TransientFailure, match="ask supervisord whether it runs"):
        supervisor.start(silent)
    assert done == []
    assert supervisor_calls.socket_path(silent).exists()


def test_doctor_names_a_supervisord_that_gives_no_answer(silent: Path) -> None:
    from de_stack.local import doctor

    (found,) = [finding for finding in doctor.examine(silent) if finding.check == "supervisord"]
    assert not found.is_ok
    assert "de-stack down" in found.fix


class Refusing:
    """Remote calls that all end in a fault."""

    def __init__(self, text: str) -> None:
        self._fault = xmlrpc.client.Fault(1, text)

    def __getattr__(self, name: str) -> Callable[..., object]:
        def call(*_: object) -> object:
            raise self._fault

        return call


def test_where_no_supervisord_runs_there_is_nothing_to_stop(home: Path) -> None:
    supervisor.stop(home, "postgres")
    said: list[str] = []
    stack.stop(["postgres", "kafka"], said.append)
    assert said == ["stopping postgres", "stopping kafka"]


def test_where_no_supervisord_runs_nothing_can_be_started_and_the_fix_says_how(home: Path) -> None:
    with pytest.raises(
        TransientFailure, match="start kafka: supervisord does not run .*de-stack up"
    ):
        supervisor.begin(home, "kafka")


@pytest.mark.parametrize("text", ["NOT_RUNNING: kafka", "BAD_NAME: kafka"])
def test_what_does_not_run_is_stopped(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setattr(supervisor, "rpc", lambda *_, **__: Refusing(text))
    supervisor.stop(home, "kafka")


@pytest.mark.parametrize(
    ("text", "kind"),
    [("SHUTDOWN_STATE", TransientFailure), ("NO_FILE: /no/python", PermanentFailure)],
)
def test_a_fault_is_a_failure_that_says_what_came_back(
    home: Path, monkeypatch: pytest.MonkeyPatch, text: str, kind: type[Failure]
) -> None:
    monkeypatch.setattr(supervisor, "rpc", lambda *_, **__: Refusing(text))
    site = Site(home, {})
    for part in ("programs", "specs"):
        (home / "supervisor" / part).mkdir()
    service = Service(name="kafka", command=lambda _: [], probe=lambda _: "")
    for tried, call in {
        "stop kafka": lambda: supervisor.stop(home, "kafka"),
        "start kafka": lambda: supervisor.begin(home, "kafka"),
        "make supervisord know kafka": lambda: supervisor.configure(site, service, {}, "digest"),
    }.items():
        with pytest.raises(kind, match=f"{tried}: supervisord refused: {text}"):
            call()
