"""The generator of measures, as a supervised process.

Belongs here: its process. Does not belong here: what it makes (`sources/generator`).
"""

from __future__ import annotations

import sys
import time

from de_stack.local import supervisor
from de_stack.local.service import Service, Site

STREAM = "telemetry.measures"
_SETTLE_SECONDS = 1


def _probe(site: Site) -> str:
    """It listens nowhere: that it goes on for a second is all that can be asked."""
    info = supervisor.processes(site.home).get("generator", {})
    up = time.time() - info.get("start", 0) if info.get("state") == supervisor.RUNNING else 0
    return "" if up >= _SETTLE_SECONDS else "a second of life"


SERVICE = Service(
    name="generator",
    command=lambda site: [sys.executable, "-m", "de_stack.sources.generator", "run", STREAM],  # noqa: ARG005
    probe=_probe,
    depends_on=("collector",),
    environment=lambda site: {"PYTHONUNBUFFERED": "1"},  # noqa: ARG005
    follows=frozenset({"collector_url", "kafka_bootstrap", "namespace", "generator_rate"}),
    settle_seconds=_SETTLE_SECONDS,
)
