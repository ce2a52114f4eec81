"""What a local service is, and the place that it runs in.

Belongs here: the shared types of the files of this folder. Does not belong here: any one service,
or the order in which services are started (`stack.py`).
"""

from __future__ import annotations

import shutil
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True)
class Site:
    """Where one stack lives: its home folder and the ports it was given."""

    home: Path
    ports: Mapping[str, int]

    def data(self, service: str) -> Path:
        """Folder of a service's own files; also its working folder."""
        return self.home / "data" / service

    def fresh_tmp(self, service: str) -> Path:
        """An empty folder for what a JVM unpacks: after a kill it would stay in /tmp for ever."""
        folder = self.data(service) / "tmp"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def config(self, service: str) -> Path:
        """Folder of the configuration that we write for a service."""
        return self.home / "config" / service

    def log(self, service: str) -> Path:
        """File that holds a service's output."""
        return self.home / "logs" / f"{service}.log"


def _nothing(site: Site) -> None:  # noqa: ARG001
    """Most services need nothing here."""


def _silent(site: Site) -> list[str]:  # noqa: ARG001
    return []


def _empty(site: Site) -> dict[str, Any]:  # noqa: ARG001
    return {}


@dataclass(frozen=True)
class Service:
    """One process: how to start it, how to know that it is ready, how to stop it.

    Args:
        command: argv; may not hold a secret, everybody can read it in the process list.
        probe: empty when ready, else what is being waited for.
        ports: port name -> preferred port.
        depends_on: services that must be ready before this one is started.
        alongside: services that must be there, too, but can be started at the same time.
        environment: added to the inherited environment.
        addresses: settings (`settings.ADDRESSES`) that this service provides.
        prepare: runs before every start; idempotent.
        after_ready: runs at every `up`, when the probe has passed and `alongside` is ready;
            idempotent; returns what it changed, in words.
        user: account to run as, when not the caller's.
        follows: names of settings; when one has changed, the process is restarted.
        reads_code: it loads our code, contracts or dbt models; restarted when they have changed.
        remark: a sentence worth saying at the start; said once, whoever has it.
        settle_seconds: a process that ends sooner has failed to start.
    """

    name: str
    command: Callable[[Site], list[str]]
    probe: Callable[[Site], str]
    ports: Mapping[str, int] = field(default_factory=dict)
    depends_on: tuple[str, ...] = ()
    alongside: tuple[str, ...] = ()
    environment: Callable[[Site], dict[str, str]] = _empty
    addresses: Callable[[Site], dict[str, str]] = _empty
    prepare: Callable[[Site], None] = _nothing
    after_ready: Callable[[Site], list[str]] = _silent
    user: Callable[[], str | None] = lambda: None
    folder: Callable[[Site], Path] | None = None
    follows: frozenset[str] = frozenset()
    reads_code: bool = False
    remark: Callable[[], str] = lambda: ""
    settle_seconds: int = 1
    start_seconds: float = 180
    stop_signal: str = "TERM"
    stop_seconds: int = 15

    def workdir(self, site: Site) -> Path:
        """Folder that the process runs in."""
        return self.folder(site) if self.folder else site.data(self.name)


def listens(port: int, timeout_seconds: float = 0.5) -> bool:
    """True when something on loopback accepts connections at `port`."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=timeout_seconds):
            return True
    except OSError:
        return False


def port_probe(port_name: str) -> Callable[[Site], str]:
    """A probe that is content when the port accepts connections."""

    def probe(site: Site) -> str:
        port = site.ports[port_name]
        return "" if listens(port) else f"{LOOPBACK}:{port}"

    return probe
