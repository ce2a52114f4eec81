"""The generator of all streams whose contract has a rate, as a supervised process.

Belongs here: its process. Does not belong here: what it makes (`sources/generator`).
"""

from __future__ import annotations

import sys
import time

from de_stack.local import supervisor
from de_stack.local.service import LOOPBACK, Service, Site, listens

_SETTLE_SECONDS = 1


def _command(site: Site) -> list[str]:
    port = str(site.ports["generator"])
    program = [sys.executable, "-m", "de_stack.sources.generator", "run"]
    return [*program, "--metrics-port", port]


def _probe(site: Site) -> str:
    """It has gone on for a second (a wrong file would have ended it), and tells its counts."""
    info = supervisor.processes(site.home).get("generator", {})
    up = time.time() - info.get("start", 0) if info.get("state") == supervisor.RUNNING else 0
    if up < _SETTLE_SECONDS:
        return "a second of life"
    port = site.ports["generator"]
    return "" if listens(port) else f"http://{LOOPBACK}:{port}/metrics"


SERVICE = Service(
    name="generator",
    command=_command,
    probe=_probe,
    ports={"generator": 18081},
    depends_on=("collector",),
    environment=lambda site: {"PYTHONUNBUFFERED": "1"},  # noqa: ARG005
    follows=frozenset({"collector_url", "kafka_bootstrap", "namespace", "generator_rate"}),
    reads_code=True,
    settle_seconds=_SETTLE_SECONDS,
    stop_seconds=20,
)
