"""Processes that end with the test that started them.

Belongs here: starting, waiting until one is ready, the end of all. Does not belong here: what is
started.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_PR_SET_PDEATHSIG = 1
_READY_S = 120.0
_END_S = 20.0


def free_ports(number: int) -> list[int]:
    """Ports of loopback that nobody listens at; all are open at once, so that they differ."""
    with contextlib.ExitStack() as stack:
        servers = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(number)
        ]
        return [server.getsockname()[1] for server in servers]


def _end_with_parent() -> None:
    """Where the tests are killed with no time to clean up, Linux ends what they started."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.umask(0o077)


@dataclass
class Crew:
    """Started processes, each with a log; the newest is ended first."""

    logs: Path
    members: list[tuple[str, subprocess.Popen[bytes]]] = field(default_factory=list)

    def start(
        self,
        name: str,
        command: Sequence[str],
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
        account: Mapping[str, Any] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start one; Ctrl-C is not for it."""
        with self.log(name).open("wb") as log:
            process = subprocess.Popen(
                command,
                env={**os.environ, **(env or {})},
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_end_with_parent,
                **(account or {}),
            )
        self.members.append((name, process))
        return process

    def log(self, name: str) -> Path:
        """What it says."""
        return self.logs / f"{name}.log"

    def wait(self, name: str, is_ready: Callable[[], bool]) -> None:
        """Return when it is ready; fail where it has ended, or needs too long."""
        (process,) = [process for known, process in self.members if known == name]
        until = time.monotonic() + _READY_S
        while not is_ready():
            code = process.poll()
            if code is not None or time.monotonic() > until:
                said = self.log(name).read_text(errors="replace")[-3000:]
                raise AssertionError(f"{name}: exit code {code}, not ready; it said:\n{said}")
            time.sleep(0.1)

    def end(self) -> None:
        """End all: TERM (INT for Postgres, its quick end), later KILL."""
        for name, process in reversed(self.members):
            process.send_signal(signal.SIGINT if name == "postgres" else signal.SIGTERM)
        until = time.monotonic() + _END_S
        for _, process in reversed(self.members):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.1, until - time.monotonic()))
            with contextlib.suppress(ProcessLookupError):
                # Executors are in the group of their worker.
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.members.clear()


@contextlib.contextmanager
def a_crew(logs: Path) -> Iterator[Crew]:
    """Processes that are gone at the end of the block, however it ends."""
    crew = Crew(logs)
    try:
        yield crew
    finally:
        crew.end()
