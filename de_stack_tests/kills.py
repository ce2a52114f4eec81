"""SIGKILL to processes, and certainty that they are gone.

Belongs here: killing by process id. Does not belong here: which process belongs to what.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable

import psutil

from de_stack.local import processes

GONE_S = 30.0


def kill_pids(pids: Iterable[int]) -> None:
    """SIGKILL to processes; return when none of them does anything any more.

    One of a gigabyte takes a moment to go and listens until then: who looks at once finds it well.
    """
    dying = []
    for pid in pids:
        with contextlib.suppress(psutil.NoSuchProcess):  # A child that went with its parent.
            process = psutil.Process(pid)
            dying.append(process)
            process.kill()
    deadline = time.monotonic() + GONE_S
    while left := [process.pid for process in dying if not processes.is_gone(process)]:
        assert time.monotonic() < deadline, f"{left} survive SIGKILL"
        time.sleep(0.01)
