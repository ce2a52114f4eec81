"""Ports: preferred, sticky, moved, reserved; who listens."""

from __future__ import annotations

import os
import socket
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from de_stack.failures import PermanentFailure
from de_stack.local import processes
from de_stack.local.ports import choose, is_free, reserving


def test_a_free_preferred_port_is_taken_and_nothing_is_said() -> None:
    assert choose({"kafka": 19092}, {}, free=lambda port: True) == ({"kafka": 19092}, [])


def test_the_port_of_last_time_comes_before_the_preferred_one() -> None:
    assert choose({"kafka": 19092}, {"kafka": 20000}, free=lambda port: True)[0] == {"kafka": 20000}


def test_a_taken_port_moves_and_the_move_is_told() -> None:
    ports, moved = choose({"kafka": 19092}, {}, free=lambda port: port > 19093)
    assert ports == {"kafka": 19094}
    assert moved == ["kafka: port 19092 is taken by another process, moved to 19094"]


def test_two_services_never_get_the_same_port() -> None:
    ports, _ = choose({"a": 5000, "b": 5000}, {}, free=lambda port: True)
    assert ports == {"a": 5000, "b": 5001}


def test_the_port_of_a_service_that_is_not_asked_for_is_left_to_it() -> None:
    ports, _ = choose({"a": 5000}, {"b": 5000}, free=lambda port: True)
    assert ports == {"a": 5001}


def test_the_port_of_our_own_running_process_stays_although_it_is_not_free() -> None:
    ports, moved = choose({"a": 5000}, {"a": 5007}, frozenset({"a"}), free=lambda port: False)
    assert (ports, moved) == ({"a": 5007}, [])


def test_no_free_port_is_a_failure_that_names_the_service() -> None:
    with pytest.raises(PermanentFailure, match="port for kafka.*19092 to 19591 is taken"):
        choose({"kafka": 19092}, {}, free=lambda port: False)


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0"])
def test_a_port_somebody_listens_on_is_not_free(address: str) -> None:
    with socket.socket() as listener:
        listener.bind((address, 0))
        listener.listen()
        port = listener.getsockname()[1]
        assert not is_free(port)
    assert is_free(port)


@pytest.fixture
def port() -> Iterator[int]:
    """A port at which this process listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def free() -> int:
    """A port at which nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_reserved_port_is_nobody_elses_until_it_is_let_go(
    free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def nobody(home: Path, port: int) -> bool:
        pytest.fail(f"{home} does not run any more, and was asked about {port}")

    with reserving(tmp_path / "other", lambda *_: False) as other:
        with reserving(tmp_path / "one", nobody) as one:
            assert one(free)
            assert not other(free)
        with reserving(tmp_path / "one", nobody) as one:
            assert one(free)
        assert other(free)
    assert (next(tmp_path.iterdir()).stat().st_mode & 0o777) == 0o700


def test_a_port_somebody_listens_on_cannot_be_reserved(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with reserving(tmp_path, lambda *_: False) as reserve:
        assert not reserve(port)


def test_a_stack_that_is_up_keeps_its_port_while_nobody_listens_there(
    free: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one, other = tmp_path / "one", tmp_path / "other"
    with reserving(one, lambda *_: True) as reserve:
        assert reserve(free)
    asked: list[tuple[Path, int]] = []

    def is_kept(home: Path, port: int) -> bool:
        asked.append((home, port))
        return True

    with reserving(other, is_kept) as reserve:
        assert not reserve(free)
        assert asked == [(one, free)]
        # Whose it is gets it, though the other is still choosing.
        with reserving(one, is_kept) as again:
            assert again(free)
    with reserving(other, lambda *_: False) as reserve:
        assert reserve(free)
    # The port is the other's now.
    with reserving(one, is_kept) as reserve:
        assert not reserve(free)


def test_who_listens_is_known_by_process_and_port(port: int, free: int) -> None:
    assert processes.listens(os.getpid(), port)
    if os.getppid() != 1:  # A suite that was sent to the background is nobody's.
        assert processes.listens(os.getppid(), port)  # It is below that one.
    assert not processes.listens(os.getpid(), free)
    assert not processes.listens(2**22 + 1, port)
    assert processes.listener(port).startswith(f"process {os.getpid()} (")
    assert processes.listener(free) == "another process"


def test_where_the_system_does_not_tell_who_listens_nobody_is_suspected(
    free: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: object) -> None:
        raise psutil.AccessDenied

    monkeypatch.setattr(psutil.Process, "net_connections", denied)
    monkeypatch.setattr(psutil, "net_connections", denied)
    # Our own process can always be asked, unless it is ending: then who listens is somebody else.
    assert processes.listens(os.getpid(), free) == (sys.platform != "linux")
    monkeypatch.setattr(processes, "_is_mine", lambda _process: False)
    assert processes.listens(os.getpid(), free)
    assert processes.listener(free) == "another process"
