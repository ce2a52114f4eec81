"""The end of the local stack: which processes are its own, and how all of them stop.

Belongs here: finding what supervisord does not keep, the waves of stopping. Does not belong here:
starting (`stack.py`), one process (`processes.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.local import postgres, processes, state, supervisor, supervisor_calls
from de_stack.local.registry import SERVICES, stopping_waves
from de_stack.local.service import Site

Say = Callable[[str], None]
# Asked to end, supervisord stops all that it keeps, each with a grace time of its own.
_SUPERVISORD_SECONDS = 30.0


def family(home: Path) -> dict[int, str]:
    """Service by pid of every process of the stack."""
    # Where data is does not depend on a port: a broken state keeps nobody from stopping.
    return processes.of_stack(home, postgres.data(Site(home, {})))


def strays(home: Path) -> dict[int, str]:
    """Service by pid of processes of the stack that supervisord does not keep.

    Raises:
        TransientFailure: supervisord runs and does not say what it keeps.
    """
    # In this order: who is begun between two looks is no left-over.
    found = family(home)
    kept = {name for name, info in supervisor.processes(home).items() if info["pid"]}
    if not supervisor.is_alive(home):
        return found
    return {p: name for p, name in found.items() if name not in kept | {"supervisord"}}


def want_nothing(home: Path, say: Say) -> None:
    """Write down that nothing shall run."""
    try:
        known = state.load(home)
    except PermanentFailure as failure:
        # What it tells people to do begins with `down`.
        say(f"left as it is: {failure}")
        return
    if not known["services"]:
        return
    for entry in known["services"].values():
        entry["wanted"] = False
    state.save(home, known)


def stop_all(home: Path, say: Say) -> None:
    """Stop every process of the stack in an order that lets each end well."""
    try:
        running = supervisor.processes(home)
    except TransientFailure as failure:
        say(f"{failure.tried}: {failure.got}; ending it and all its processes")
        running = {}
        # Before the others: it would start them again.
        found = family(home)
        keeper = [pid for pid, name in found.items() if name == "supervisord"]
        processes.end(keeper, _SUPERVISORD_SECONDS)
    alive = [
        n for n, info in running.items() if info["state"] in supervisor.ALIVE and n in SERVICES
    ]
    for wave in stopping_waves(alive):
        say(f"stopping {', '.join(wave)}")
        with ThreadPoolExecutor(max_workers=len(wave)) as pool:
            list(pool.map(lambda name: supervisor.stop(home, name), wave))
        # Run workers still can say how they end, as long as the database is there.
        found = family(home)
        processes.end(pid for pid, name in found.items() if name in wave)
    found = family(home)
    first = {pid: name for pid, name in found.items() if name != "supervisord"}
    if first:
        processes.end(first)
    processes.end(pid for pid in found if pid not in first)
    supervisor_calls.remove_socket(home)
