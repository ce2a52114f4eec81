"""A real supervisord that hangs or is gone, with a process of ours that sleeps and no service."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from de_stack.failures import TransientFailure
from de_stack.local import ending, home_folder, processes, stack, supervisor
from de_stack.local.service import Service, Site


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[psutil.Process]]:
    """supervisord of a home, and the process that it keeps."""
    home = tmp_path / "home"
    monkeypatch.setenv("DE_STACK_HOME", str(home))
    home_folder.make_home(home)
    site = Site(home, {})
    sleeper = Service(name="kafka", command=lambda _: ["sleep", "600"], probe=lambda _: "")
    sleeper.workdir(site).mkdir()
    spec = {
        "argv": sleeper.command(site),
        "env": supervisor.environment(home, "kafka"),
        "unset": [],
        "user": None,
        "cwd": str(sleeper.workdir(site)),
    }
    try:
        supervisor.start(home)
        supervisor.configure(site, sleeper, spec, "digest")
        supervisor.begin(home, "kafka")
        process = psutil.Process(supervisor.processes(home)["kafka"]["pid"])
        # Before, it is a launcher that does not bear the service's mark yet.
        while process.name() != "sleep":
            time.sleep(0.02)
        yield [psutil.Process(process.ppid()), process]
    finally:
        stack.down(purge=True)


def test_down_ends_a_supervisord_that_hangs_and_what_it_keeps_and_up_ends_nothing(
    kept: list[psutil.Process], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "_ANSWER_SECONDS", 0.5)
    monkeypatch.setattr(ending, "_SUPERVISORD_SECONDS", 1)
    kept[0].suspend()
    with pytest.raises(TransientFailure, match="gave no answer"):
        stack.up(["kafka"])
    assert not any(processes.is_gone(process) for process in kept)
    said: list[str] = []
    stack.down(said.append)
    assert all(processes.is_gone(process) for process in kept)
    assert any("ending it and all its processes" in line for line in said)


def test_after_kill_9_of_supervisord_a_service_can_be_stopped(kept: list[psutil.Process]) -> None:
    kept[0].kill()
    stack.stop(["kafka"])
    assert all(processes.is_gone(process) for process in kept)
