"""Brings one service up: prepares it, hands it to supervisord, waits until it answers.

Belongs here: what one service goes through. Does not belong here: order between services
(`stack.py`).
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.local import own_code, ports, processes, state, supervisor
from de_stack.local.service import LOOPBACK, Service, Site
from de_stack.setting_sources import STICKY

# They may reach a service by inheritance, but are not written into a file of ours.
_SECRET = frozenset(
    {
        "DE_STACK_KAFKA_SASL_PASSWORD",
        "DE_STACK_LAKE_STORAGE_OPTIONS",
        "DE_STACK_SPARK_CONFIG",
    }
)
_POLL_SECONDS = 0.05
_BUSY_SECONDS = 10.0
# One look may take five: that alone is no news.
_NEWS_SECONDS = 6.0
_SAY_EVERY_SECONDS = 5.0


def tail(path: Path, lines: int = 20) -> str:
    """The last lines of a log; empty when there is none."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 64_000))
            text = file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


class Starter:
    """Starts services of one site; safe to use from several threads, one service each."""

    def __init__(self, site: Site, cancelled: threading.Event, say: Callable[[str], None]) -> None:
        self._site, self._cancelled, self._say = site, cancelled, say
        self._known = state.load(site.home)["settings"]
        self._interrupted = threading.Event()
        self._remarked: set[str] = set()

    @cached_property
    def _code(self) -> str:
        """Read once for all services of this command."""
        return own_code.digest()

    def interrupt(self) -> None:
        """Start nothing more, and stop what was started here and is not ready yet.

        Who starts a service stops it: only there is known how far it has come. After a mere failure
        (`cancelled`) what was begun goes on: the next `up` finds it further.
        """
        self._interrupted.set()
        self._cancelled.set()

    def bring_up(
        self, service: Service, wait_for_others: Callable[[], None] = lambda: None
    ) -> float | None:
        """Make a service run and wait until it is ready.

        Returns:
            Seconds it took; None when it ran already.

        Raises:
            Failure: it ended, or was not ready in time.
        """
        site, name = self._site, service.name
        began = time.monotonic()
        service.workdir(site).mkdir(parents=True, exist_ok=True)
        spec, digest = self._spec(service)
        if self._info(name).get("state") in supervisor.ALIVE:
            known = supervisor.configured_digest(site, name)
            if digest == known and self._answers(service):
                wait_for_others()
                self._finish(service)
                return None
            if self._cancelled.is_set():
                return None
            self._say(
                f"{name}: restarting (its settings or its code changed, or it does not answer)"
            )
            supervisor.stop(site.home, name)
        if self._cancelled.is_set():
            return None
        if (remark := service.remark()) not in self._remarked | {""}:
            self._remarked.add(remark)
            self._say(remark)
        service.prepare(site)
        supervisor.configure(site, service, spec, digest)
        # Preparing can take a minute; who interrupts it meanwhile wants nothing to start.
        if self._cancelled.is_set():
            return None
        if not self._run(service, wait_for_others):
            return None
        seconds = time.monotonic() - began
        where = ", ".join(map(str, self._ports(service)))
        self._say(f"{name}: ready in {seconds:.1f} s" + (f" (port {where})" if where else ""))
        return seconds

    def is_outdated(self, service: Service) -> bool:
        """True when a service would be started with something else than it was started with."""
        return supervisor.configured_digest(self._site, service.name) != self._spec(service)[1]

    def _run(self, service: Service, wait_for_others: Callable[[], None]) -> bool:
        """Begin a prepared service; True when it is ready, False when that is not waited for."""
        is_ready = False
        try:
            supervisor.begin(self._site.home, service.name)
            self._wait(service)
            wait_for_others()
            if not self._cancelled.is_set():
                self._finish(service)
                is_ready = True
        finally:
            if not is_ready and self._interrupted.is_set():
                supervisor.stop(self._site.home, service.name)
        return is_ready

    def _spec(self, service: Service) -> tuple[dict[str, Any], str]:
        """What the process is started with, and the digest of what a change of it would matter."""
        site = self._site
        own = service.environment(site) | supervisor.environment(site.home, service.name)
        remembered = {
            f"DE_STACK_{k.upper()}": str(v) for k, v in self._known.items() if k in STICKY
        }
        given = {
            name: value
            for name, value in os.environ.items()
            if name.startswith("DE_STACK_") and name not in _SECRET and name not in supervisor.UNSET
        }
        user = service.user()
        spec = {
            "argv": service.command(site),
            "env": (given | remembered if service.follows else {}) | own,
            "unset": supervisor.UNSET,
            "user": user,
            "cwd": str(service.workdir(site)),
        }
        compared: dict[str, Any] = {"env": own, "ports": {p: site.ports[p] for p in service.ports}}
        if service.follows:
            seen = {k: str(v) for k, v in self._known.items() if k in service.follows}
            compared["settings"] = seen
        if service.reads_code:
            compared["code"] = self._code
        return spec, supervisor.digest_of(spec, compared)

    def _finish(self, service: Service) -> None:
        for sentence in service.after_ready(self._site):
            self._say(f"{service.name}: {sentence}")

    def _ports(self, service: Service) -> list[int]:
        return [self._site.ports[name] for name in service.ports]

    def _info(self, name: str) -> dict[str, Any]:
        return supervisor.processes(self._site.home).get(name, {})

    def _answers(self, service: Service) -> bool:
        """True when a service that runs is ready, or is so within seconds.

        One look is not enough to stop it: it may be busy, or supervisord has just begun it again.
        """
        began, told = time.monotonic(), False
        # Without a process it is one that ends again and again.
        while (pid := self._info(service.name).get("pid", 0)) != 0:
            if not self._missing(service, pid):
                return True
            late = time.monotonic() - began
            if late > _NEWS_SECONDS and not told:
                self._say(f"{service.name}: does not answer; it has {_BUSY_SECONDS:.0f} s to do so")
                told = True
            if self._cancelled.wait(_POLL_SECONDS) or late > _BUSY_SECONDS:
                break
        return False

    def _missing(self, service: Service, pid: int) -> str:
        """What a service lacks; empty when it is ready. Who answers for it must be it."""
        if not pid:
            return "a process"
        if missing := service.probe(self._site):
            return missing
        foreign = [port for port in self._ports(service) if not processes.listens(pid, port)]
        return f"{LOOPBACK}:{foreign[0]} of its own" if foreign else ""

    def _wait(self, service: Service) -> None:
        """Wait until the probe passes; notice when the process ends instead."""
        site, name = self._site, service.name
        began = said = time.monotonic()
        first_pid = 0
        while True:
            info = self._info(name)
            pid = info.get("pid", 0)
            first_pid = first_pid or pid
            died = info.get("state") in supervisor.DEAD or (pid and pid != first_pid)
            missing = "" if died else self._missing(service, pid)
            if not died and not missing:
                return
            late = time.monotonic() - began > service.start_seconds
            if died or late:
                supervisor.stop(site.home, name)
                # Nobody of ours is left: who listens now was in the way.
                for port in self._ports(service):
                    if not ports.is_free(port):
                        got = f"port {port} was taken by {processes.listener(port)}"
                        raise ports.PortTaken(f"start {name}", got, "`de-stack up` again: it moves")
                kind = PermanentFailure if died else TransientFailure
                got = (
                    "it ended"
                    if died
                    else f"still no {missing} after {service.start_seconds:.0f} s"
                )
                log = site.log(name)
                text = f"{got}. Last lines of {log}:\n{tail(log)}\n"
                raise kind(
                    f"start {name}",
                    text,
                    f"`de-stack doctor`, then `de-stack up {name}`",
                    page="service-ended",
                )
            if self._cancelled.is_set():
                return
            if time.monotonic() - said > _SAY_EVERY_SECONDS:
                said = time.monotonic()
                self._say(f"{name}: waiting for {missing}, {said - began:.0f} s so far")
            time.sleep(_POLL_SECONDS)
