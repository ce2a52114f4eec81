"""The processes of a stack as the operating system sees them.

Belongs here: finding them by their marker, ending them, their memory, who listens where. Does not
belong here: what supervisord thinks of them (`supervisor.py`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import psutil

from de_stack.failures import TransientFailure
from de_stack.local.supervisor import MARKER


def is_gone(process: psutil.Process) -> bool:
    """True when the process does no more: it ended, or only its entry is left (a zombie)."""
    try:
        return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def _service_of(process: psutil.Process, home: Path, postgres_data: Path) -> str | None:
    """Name of the service that a process belongs to; None when it is not of this stack."""
    try:
        prefix, _, name = process.environ().get(MARKER, "").rpartition(":")
        if prefix == str(home):
            return name
        # Postgres overwrites its environment with a title, but every one works in its data folder.
        if process.name() == "postgres" and process.cwd() == str(postgres_data):
            return "postgres"
    except (psutil.Error, OSError):
        return None
    return None


def of_stack(home: Path, postgres_data: Path) -> dict[int, str]:
    """Service by pid of every live process of the stack, whoever its parent is now."""
    found = {}
    mine = {os.getpid(), *(parent.pid for parent in psutil.Process().parents())}
    for process in psutil.process_iter():
        if process.pid in mine or is_gone(process):
            continue
        if name := _service_of(process, home, postgres_data):
            found[process.pid] = name
    return found


def end(pids: Iterable[int], grace_seconds: float = 10) -> None:
    """Ask processes to end, kill those that do not, and make sure that they are gone.

    Raises:
        TransientFailure: a process survives SIGKILL.
    """
    alive = []
    for pid in pids:
        try:
            process = psutil.Process(pid)
            process.terminate()
            alive.append(process)
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(alive, timeout=grace_seconds)
    alive = [process for process in alive if not is_gone(process)]
    for process in alive:
        try:
            process.kill()
        except psutil.NoSuchProcess:
            continue
    _, alive = psutil.wait_procs(alive, timeout=10)
    if left := [process.pid for process in alive if not is_gone(process)]:
        raise TransientFailure(
            "end processes of the stack", f"pids {left} survive SIGKILL", page="service-ended"
        )


def memory(pid: int) -> tuple[int, int]:
    """(PSS, RSS) in bytes of a process and all below it; RSS for both where PSS is unknown."""
    pss = rss = 0
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return 0, 0
    for process in family:
        try:
            basic = process.memory_info().rss
            rss += basic
            pss += getattr(process.memory_full_info(), "pss", basic)
        except psutil.Error:
            continue
    return pss, rss


def listens(pid: int, port: int) -> bool:
    """True when a process, or one below it, listens at a port.

    True as well where the system does not tell us without more rights: nobody is suspected then.
    """
    try:
        root = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return False
    try:
        return any(_listens(process, port) for process in (root, *root.children(recursive=True)))
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        # Our own can always be asked on Linux, except while it ends: what is left of it is root's.
        return not (is_gone(root) or (sys.platform == "linux" and _is_mine(root)))


def _is_mine(process: psutil.Process) -> bool:
    try:
        return process.uids().real == os.getuid()
    except psutil.Error:
        return False


def _is_listening(connection: Any, port: int) -> bool:
    return connection.status == psutil.CONN_LISTEN and connection.laddr.port == port


def _listens(process: psutil.Process, port: int) -> bool:
    try:
        return any(_is_listening(connection, port) for connection in process.net_connections("tcp"))
    except psutil.NoSuchProcess:
        return False


def listener(port: int) -> str:
    """Who listens at a port, in words for a person."""
    try:
        for found in psutil.net_connections("tcp"):
            if found.pid and _is_listening(found, port):
                return f"process {found.pid} ({psutil.Process(found.pid).name()})"
    except psutil.Error:
        pass
    return "another process"
