"""Talks to supervisord, which keeps the processes: starts it, tells it what to keep.

Belongs here: its configuration, what is asked of it. Does not belong here: its socket
(`supervisor_calls.py`), the order of starting, readiness (`stack.py`), what the services are.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
import threading
import time
import xmlrpc.client
from pathlib import Path
from typing import Any

from de_stack.failures import TransientFailure
from de_stack.local.service import Service, Site
from de_stack.local.state import write_private
from de_stack.local.supervisor_calls import Away, asking, rpc, socket_path
from de_stack.local.templates import render
from de_stack.setting_sources import ADDRESSES

MARKER = "DE_STACK_SERVICE"
# Addresses come from the state only: an old export must not lead a service astray.
UNSET = sorted({f"DE_STACK_{name.upper()}" for name in ADDRESSES} | {"DE_STACK_PROFILE"})
# A busy machine answers late, a supervisord that hangs never.
_ANSWER_SECONDS = 15.0
_changing = threading.Lock()

RUNNING, ALIVE, DEAD = 20, frozenset({10, 20, 30, 40}), frozenset({100, 200})


def is_alive(home: Path) -> bool:
    """True when supervisord of this home answers, False when there is none.

    Raises:
        TransientFailure: it does not answer; a second one must not be started beside it.
    """
    try:
        with asking("ask supervisord whether it runs"):
            rpc(home, _ANSWER_SECONDS).getState()
    except Away:
        return False
    return True


def processes(home: Path) -> dict[str, dict[str, Any]]:
    """What supervisord says about each of its processes; empty when it does not run.

    Raises:
        TransientFailure: it does not answer. A failed read is not an empty one: who took it for
            that would end what runs.
    """
    try:
        with asking("ask supervisord what runs"):
            return {info["name"]: info for info in rpc(home, _ANSWER_SECONDS).getAllProcessInfo()}
    except Away:
        return {}


def environment(home: Path, name: str) -> dict[str, str]:
    """What every process of the stack gets: where it belongs to."""
    return {"DE_STACK_HOME": str(home), MARKER: f"{home}:{name}"}


def start(home: Path) -> None:
    """Start supervisord unless it runs.

    Raises:
        TransientFailure: it does not answer.
    """
    if is_alive(home):
        return
    user = "user=root\n" if os.geteuid() == 0 else ""
    conf = home / "supervisor" / "supervisord.conf"
    for part in ("programs", "specs"):
        (home / "supervisor" / part).mkdir(exist_ok=True)
    write_private(conf, render("supervisord.conf", home=home, socket=socket_path(home), user=user))
    socket_path(home).unlink(missing_ok=True)
    env = {name: value for name, value in os.environ.items() if name not in UNSET}
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "supervisor.supervisord", "-c", conf],
        env=env | environment(home, "supervisord"),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=home,
    )
    deadline = time.monotonic() + 20
    while not is_alive(home):
        if done.returncode or time.monotonic() > deadline:
            got = (done.stdout + done.stderr).strip()[-600:] or "no answer within 20 s"
            log = home / "logs" / "supervisord.log"
            raise TransientFailure(
                "start supervisord", got, f"read {log}, then `de-stack up`", page="service-ended"
            )
        time.sleep(0.05)


def digest_of(spec: dict[str, Any], compared: dict[str, Any]) -> str:
    """Names what a process was started with: a difference means that it must be restarted."""
    seen = {"argv": spec["argv"], "user": spec["user"], "cwd": spec["cwd"], **compared}
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:16]


def program(site: Site, service: Service, digest: str) -> str:
    """Configuration of one program."""
    launcher = Path(__file__).with_name("launch.py")
    spec = site.home / "supervisor" / "specs" / f"{service.name}.json"
    argv = [sys.executable, "-I", "-S", str(launcher), str(spec), digest]
    return render(
        "program.conf",
        name=service.name,
        command=shlex.join(argv).replace("%", "%%"),
        home=site.home,
        settle_seconds=service.settle_seconds,
        stop_signal=service.stop_signal,
        stop_seconds=service.stop_seconds,
        log=site.log(service.name),
    )


def configured_digest(site: Site, name: str) -> str | None:
    """Digest that the program was last configured with."""
    conf = site.home / "supervisor" / "programs" / f"{name}.conf"
    if not conf.exists():
        return None
    lines = conf.read_text().splitlines()
    return next((line.rpartition(" ")[2] for line in lines if line.startswith("command=")), None)


def configure(site: Site, service: Service, spec: dict[str, Any], digest: str) -> None:
    """Write a service's program and spec and make supervisord know it (it is not started).

    Raises:
        Failure: supervisord is away, does not answer or refuses.
    """
    folder = site.home / "supervisor"
    # supervisord reads all files at each reload: one change at a time.
    with _changing:
        write_private(folder / "specs" / f"{service.name}.json", json.dumps(spec))
        write_private(folder / "programs" / f"{service.name}.conf", program(site, service, digest))
        with asking(f"make supervisord know {service.name}"):
            server = rpc(site.home)
            added, changed, removed = server.reloadConfig()[0]
            for name in [*changed, *removed]:
                stop(site.home, name)
                server.removeProcessGroup(name)
            for name in [*added, *changed]:
                server.addProcessGroup(name)


def begin(home: Path, name: str) -> None:
    """Start a configured process, without waiting for it; one that runs already is left alone.

    Raises:
        Failure: supervisord is away, does not answer or refuses.
    """
    with asking(f"start {name}"):
        try:
            rpc(home).startProcess(name, False)
        except xmlrpc.client.Fault as fault:
            if not fault.faultString.startswith("ALREADY_STARTED"):
                raise


def stop(home: Path, name: str) -> None:
    """Stop a process and wait until supervisord has seen it end (it kills after the grace time).

    Where no supervisord runs there is nothing to stop: what it left is a matter of `processes`.

    Raises:
        Failure: supervisord does not answer or refuses.
    """
    try:
        with asking(f"stop {name}"):
            try:
                rpc(home, timeout_seconds=120).stopProcess(name, True)
            except xmlrpc.client.Fault as fault:
                if not fault.faultString.startswith(("NOT_RUNNING", "BAD_NAME")):
                    raise
    except Away:
        pass
