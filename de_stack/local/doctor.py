"""Can the stack run on this machine, and if not, what exactly mends it?

Belongs here: looking at the machine, the jars, the environment, the state. Does not belong here:
changing any of them, versions against each other (`versions.py`).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil

from de_stack.failures import Failure, TransientFailure
from de_stack.local import exports, jars, java, ports, state, supervisor, versions
from de_stack.local.finding import Finding
from de_stack.local.registry import SERVICES
from de_stack.masking import without_password
from de_stack.setting_sources import ADDRESSES, ELSEWHERE, variable
from de_stack.settings import Settings

_DISK_GB, _MEMORY_GB = 3.0, 3.0


def java_found() -> Finding:
    """Is there a Java, and which?"""
    try:
        found = java.find()
    except Failure as failure:
        return Finding("Java", False, failure.args[0], java.how_to_install())
    return Finding("Java", True, f"{found.version} in {found.home}. {found.note}".rstrip(". "))


def jars_verified() -> Finding:
    """Is every locked jar in the cache, with the locked content?"""
    missing, wrong = jars.verify(jars.locked())
    if not missing and not wrong:
        return Finding("jars", True, f"{len(jars.locked())} verified in {jars.cache()}")
    parts = [f"{jar.file_name} differs from the lock" for jar in wrong]
    parts += [f"{len(missing)} missing"] if missing else []
    return Finding("jars", False, "; ".join(parts), "`de-stack jars`")


def disk(home: Path) -> list[Finding]:
    """Is there room where data and jars go?"""
    found = []
    for what, folder in (("home", home), ("jar cache", jars.cache())):
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free / 1e9
        is_writable = os.access(there, os.W_OK)
        seen = f"{free:.0f} GB free at {folder}" + ("" if is_writable else ", not writable")
        variable = "DE_STACK_HOME" if what == "home" else "DE_STACK_JAR_CACHE"
        fix = f"free some space, or set {variable} to a folder of yours elsewhere"
        found.append(Finding(f"disk of the {what}", free >= _DISK_GB and is_writable, seen, fix))
    return found


def memory(home: Path) -> Finding:
    """Is there memory for what does not run yet?"""
    free = psutil.virtual_memory().available / 1e9
    is_up = any(info["pid"] for info in supervisor.processes(home).values())
    fix = "close programs, or start less: `de-stack up postgres kafka`"
    return Finding("memory", is_up or free >= _MEMORY_GB, f"{free:.1f} GB available", fix)


def tools() -> Finding:
    """Spark's start script is written for bash."""
    return Finding(
        "bash", shutil.which("bash") is not None, shutil.which("bash") or "none", "install bash"
    )


def port_findings(home: Path, is_free: Callable[[int], bool] = ports.is_free) -> list[Finding]:
    """Who holds our ports? One that is taken is no fault as long as `up` can move."""
    known, kept = state.load(home)["ports"], supervisor.processes(home)
    taken = []
    for service in SERVICES.values():
        if not kept.get(service.name, {}).get("pid"):
            wanted = {p: known.get(p, preferred) for p, preferred in service.ports.items()}
            taken += [f"{name} {port}" for name, port in wanted.items() if not is_free(port)]
    seen = f"taken, `up` will move: {', '.join(taken)}" if taken else "free or ours"
    return [Finding("ports", True, seen)]


def services(home: Path) -> Finding:
    """Does everything run that should?"""
    known, kept = state.load(home)["services"], supervisor.processes(home)
    dead = [
        name
        for name, entry in known.items()
        if entry["wanted"] and not kept.get(name, {}).get("pid")
    ]
    seen = f"not running: {', '.join(dead)}" if dead else f"{len(kept)} kept, none is missing"
    return Finding("services", not dead, seen, "`de-stack up`")


def settings() -> Finding:
    """Can they be read, those that `up` remembers included?"""
    try:
        Settings()
    except Failure as failure:
        return Finding("settings", False, failure.got, failure.fix or "")
    return Finding("settings", True, "can be read")


def environment(
    home: Path, settings: Mapping[str, Any], environ: Mapping[str, str]
) -> list[Finding]:
    """Does the shell name other systems than the stack? Psql and `dagster` would go there."""
    if (environ.get("DE_STACK_PROFILE") or "embedded") != "embedded":
        missing = [
            f"DE_STACK_{name.upper()}"
            for name in sorted(ADDRESSES - {"webserver_url", "collector_url", "warehouse_path"})
            if f"DE_STACK_{name.upper()}" not in environ
        ]
        seen = (
            f"external; not set: {', '.join(missing)}"
            if missing
            else "external, every address is set"
        )
        return [Finding("profile", not missing, seen, "export them, or unset DE_STACK_PROFILE")]
    wanted = exports.variables(home, settings)
    # The home is where this was read: it agrees, however it is spelled.
    del wanted["DE_STACK_HOME"]
    stale = [
        Finding(
            f"${name}",
            False,
            f"is {without_password(environ[name])}, the stack has {value}",
            f'`eval "$(de-stack env)"`, or `unset {name}`',
        )
        for name, value in sorted(wanted.items())
        if environ.get(name, value) != value
    ]
    # Not what they hold: some are secrets.
    stale += [
        Finding(
            f"${name}",
            False,
            "is set and is not read: it is about somebody else's systems, and the profile is "
            "embedded",
            f"`unset {name}`, or DE_STACK_PROFILE=external with all addresses",
        )
        for name in sorted(map(variable, ELSEWHERE))
        if environ.get(name)
    ]
    return stale or [Finding("environment", True, "agrees with the state")]


def left_over(home: Path) -> Finding:
    """Processes of the stack that nobody keeps."""
    from de_stack.local.ending import strays

    found = strays(home)
    names = ", ".join(f"{name} ({pid})" for pid, name in found.items())
    return Finding(
        "left-over processes", not found, names or "none", "`de-stack up` or `de-stack down`"
    )


def examine(home: Path) -> list[Finding]:
    """All checks, cheap ones first."""
    found = [versions.python(), java_found(), tools(), *versions.spark()]
    found += [versions.kafka(jars.locked("kafka")), versions.installed_packages(), jars_verified()]
    found += [*disk(home), settings()]
    try:
        found += [memory(home), *port_findings(home), services(home), left_over(home)]
    except TransientFailure as failure:
        fix = failure.fix or "again"
        found.append(Finding("supervisord", False, f"{failure.tried}: {failure.got}", fix))
    return found + environment(home, state.load(home)["settings"], os.environ)
