"""The life of the local stack: up, down, restart.

Belongs here: order, healing, waiting. Does not belong here: any one service, what is printed
where (`cli/`), or how a process is kept (`supervisor.py`).
"""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from de_stack.failures import Failure, PermanentFailure
from de_stack.local import (
    ending,
    home_folder,
    ports,
    postgres_files,
    processes,
    state,
    supervisor,
)
from de_stack.local.registry import SERVICES, check, with_dependencies
from de_stack.local.service import Service, Site
from de_stack.local.starting import Starter
from de_stack.setting_sources import default_home
from de_stack.settings import Settings

Say = Callable[[str], None]
# How often `up` chooses ports when others take them before our services listen.
_CHOICES = 3


def _quiet(line: str) -> None:
    """Say nothing."""


def embedded_home() -> Path:
    """The home of the stack that we may start and stop.

    Raises:
        PermanentFailure: the profile says that the systems are somebody else's.
    """
    if (profile := os.environ.get("DE_STACK_PROFILE") or "embedded") != "embedded":
        raise PermanentFailure(
            "manage local services",
            f"profile {profile}: the systems are somebody else's, nothing is started or stopped",
            "unset DE_STACK_PROFILE",
            page="settings",
        )
    return default_home()


def check_settings() -> None:
    """Refuse what `up` would be given: once remembered, it would break every later command.

    Raises:
        PermanentFailure: a setting is wrong.
    """
    # What is about to be forgotten may be what is wrong: its default stands in for it.
    fields = Settings.model_fields
    Settings(**{name: fields[name].default for name in state.forgotten_in(os.environ)})


def site_of(home: Path) -> Site:
    """The site with the ports of last time."""
    known = {name: port for s in SERVICES.values() for name, port in s.ports.items()}
    return Site(home, known | state.load(home)["ports"])


def up(names: Iterable[str] = (), say: Say = _quiet) -> dict[str, float]:
    """Start services and all that they depend on; what runs and is ready is left alone.

    Another service that runs and follows what has changed, a setting or the code, is restarted.

    Args:
        names: services; all for none.
        say: receives one line per event.

    Returns:
        Seconds until ready, per service that had to be started.

    Raises:
        Failure: a setting is wrong, and nothing was touched; or a service did not become ready, and
            the others go on running.
    """
    home = embedded_home()
    check_settings()
    wanted = with_dependencies(names)
    # A run with another home in its environment would read another state file.
    os.environ["DE_STACK_HOME"] = str(home)
    home_folder.make_home(home)
    with state.locked(home, say):
        if left := ending.strays(home):
            say(f"ending {len(left)} left-over processes: {', '.join(sorted(set(left.values())))}")
            processes.end(left)
        supervisor.start(home)
        return _start(home, wanted, say)


def _start(home: Path, wanted: list[Service], say: Say) -> dict[str, float]:
    """Choose ports and start; again, when somebody took one before a service listened there."""
    took: dict[str, float] = {}
    choices = 1
    while True:
        try:
            with ports.reserving(home, _counts_on) as reserve:
                site = _remember(home, wanted, reserve, say)
                # Kept for the next round: what was stopped in this one does not run there any more.
                wanted = [*wanted, *_outdated(site, wanted, say)]
                _start_all(site, wanted, took, say)
        except ports.PortTaken as failure:
            if choices == _CHOICES:
                raise
            choices += 1
            say(f"{failure.tried}: {failure.got}; choosing again")
        else:
            return took


def _counts_on(home: Path, port: int) -> bool:
    """True when the stack of another home is up and has the port, also in the middle of a restart.

    One that gives no answer may have it: another port is near, a lost one moves its service.
    """
    try:
        return port in state.load(home)["ports"].values() and supervisor.is_alive(home)
    except Failure:
        return True


def _running(home: Path) -> list[Service]:
    """Services that supervisord keeps alive."""
    kept = {n for n, i in supervisor.processes(home).items() if i["state"] in supervisor.ALIVE}
    return [service for name, service in SERVICES.items() if name in kept]


def _outdated(site: Site, wanted: list[Service], say: Say) -> list[Service]:
    """Other services that run and follow what has changed: they would go on with the old value."""
    names, known = {service.name for service in wanted}, state.load(site.home)["services"]
    starter = Starter(site, threading.Event(), say)
    found = [
        service
        for service in _running(site.home)
        if service.follows
        and service.name not in names
        and service.name in known
        and starter.is_outdated(service)
    ]
    if found:
        say(f"restarting, too, what follows: {', '.join(service.name for service in found)}")
    return found


def _remember(home: Path, wanted: list[Service], reserve: Callable[[int], bool], say: Say) -> Site:
    """Choose ports and write down, before anything starts, what shall run and where."""
    known = state.load(home)
    ours = frozenset(port for service in _running(home) for port in service.ports)
    chosen, moved = ports.choose(
        {name: port for service in wanted for name, port in service.ports.items()},
        known["ports"],
        ours,
        reserve,
    )
    for sentence in moved:
        say(sentence)
    known["ports"] |= chosen
    known["settings"] |= state.sticky_from(os.environ)
    for name in state.forgotten_in(os.environ):
        known["settings"].pop(name, None)
    known["settings"] |= {
        "lake_uri": str(home / "lake"),
        "checkpoint_uri": str(home / "checkpoints"),
        "warehouse_path": str(home / "warehouse.duckdb"),
    }
    site = Site(home, known["ports"])
    for service in wanted:
        known["settings"] |= service.addresses(site)
        known["services"][service.name] = {"wanted": True, "log": str(site.log(service.name))}
    state.save(home, known)
    return site


def _start_all(site: Site, wanted: list[Service], took: dict[str, float], say: Say) -> None:
    """Start each service as soon as those it depends on are ready; enter the seconds in `took`."""
    cancelled = threading.Event()
    ready: dict[str, threading.Event] = {service.name: threading.Event() for service in wanted}
    starter = Starter(site, cancelled, say)

    def wait_for(names: Iterable[str]) -> None:
        # What is not started here runs already: somebody who follows it is restarted.
        for needed in ready.keys() & names:
            while not ready[needed].wait(0.1) and not cancelled.is_set():
                pass

    def bring_up(service: Service) -> None:
        wait_for(service.depends_on)
        if cancelled.is_set():
            return
        try:
            seconds = starter.bring_up(service, lambda: wait_for(service.alongside))
            if seconds is not None:
                took[service.name] = seconds
            ready[service.name].set()
        except BaseException:
            cancelled.set()
            raise

    with ThreadPoolExecutor(max_workers=len(wanted)) as pool:
        futures = [pool.submit(bring_up, service) for service in wanted]
        try:
            while not all(future.done() for future in futures):
                time.sleep(0.05)
        except KeyboardInterrupt:
            starter.interrupt()
            say("interrupted: stopping what was being started; `de-stack up` goes on from here")
            raise
    for future in futures:
        future.result()


def stop(names: Iterable[str], say: Say = _quiet) -> None:
    """Stop services and every process that they left."""
    home = embedded_home()
    names = check(names)
    with state.locked(home, say):
        for name in names:
            say(f"stopping {name}")
            supervisor.stop(home, name)
        found = ending.family(home)
        processes.end(pid for pid, name in found.items() if name in names)


def restart(names: Iterable[str], say: Say = _quiet) -> dict[str, float]:
    """Stop services and start them again, with the environment of this call."""
    names = check(names)
    check_settings()
    stop(names, say)
    return up(names, say)


def down(say: Say = _quiet, *, purge: bool = False) -> None:
    """Stop everything and make sure that nothing is left.

    Args:
        say: receives one line per event.
        purge: remove all data, too.

    Raises:
        PermanentFailure: asked to remove a folder that is no home; nothing was stopped.
    """
    home = embedded_home()
    if not home.exists():
        say(f"nothing at {home}")
        return
    if purge:
        home_folder.check_home(home, f"remove {home}")
    with state.locked(home, say):
        ending.stop_all(home, say)
        if not purge:
            ending.want_nothing(home, say)
        else:
            say(f"removing {home}")
            shutil.rmtree(postgres_files.outside(home), ignore_errors=True)
            home_folder.remove_home(home)
