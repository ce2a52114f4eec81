"""What runs: state, pid, ports, uptime and memory of each service.

Belongs here: gathering it. Does not belong here: printing it (`cli/`), or mending anything.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from de_stack.local import processes, state, supervisor
from de_stack.local.registry import SERVICES


@dataclass(frozen=True)
class Row:
    """One service. Memory in bytes, of the process and all below it."""

    name: str
    state: str
    wanted: bool
    pid: int | None
    ports: dict[str, int]
    uptime_seconds: int | None
    pss_bytes: int
    rss_bytes: int
    log: str

    @property
    def is_wrong(self) -> bool:
        """True when it should run and does not."""
        return self.wanted and self.state != "running"


def rows(home: Path) -> list[Row]:
    """Every service, those that were never started included."""
    known, kept = state.load(home), supervisor.processes(home)
    found = []
    for name, service in SERVICES.items():
        info = kept.get(name)
        pid = info["pid"] if info else 0
        pss, rss = processes.memory(pid) if pid else (0, 0)
        remembered = known["services"].get(name, {})
        word = info["statename"].lower() if info else "stopped"
        found.append(
            Row(
                name=name,
                # A process that supervisord has yet to believe in is running for everybody else.
                state="running" if word == "starting" and pid else word,
                wanted=remembered.get("wanted", False),
                pid=pid or None,
                ports={p: known["ports"][p] for p in service.ports if p in known["ports"]},
                uptime_seconds=int(time.time() - info["start"]) if info and pid else None,
                pss_bytes=pss,
                rss_bytes=rss,
                log=str(home / "logs" / f"{name}.log"),
            )
        )
    return found
