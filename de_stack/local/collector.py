"""The HTTP door for measures, as a supervised process.

Belongs here: its process. Does not belong here: what it does (`sources/collector`).
"""

from __future__ import annotations

import sys
import urllib.error
import urllib.request

from de_stack.local.service import LOOPBACK, Service, Site, listens


def url(site: Site) -> str:
    """Address of the collector."""
    return f"http://{LOOPBACK}:{site.ports['collector']}"


def _probe(site: Site) -> str:
    if not listens(site.ports["collector"]):
        return url(site)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url(site)}/healthz", timeout=5):
            return ""
    except (OSError, urllib.error.URLError) as error:
        return f"{url(site)}/healthz ({error})"


SERVICE = Service(
    name="collector",
    command=lambda site: [sys.executable, "-m", "de_stack.sources.collector"],  # noqa: ARG005
    probe=_probe,
    ports={"collector": 18080},
    depends_on=("kafka",),
    environment=lambda site: {
        "DE_STACK_COLLECTOR_PORT": str(site.ports["collector"]),
        "PYTHONUNBUFFERED": "1",
    },
    addresses=lambda site: {"collector_url": url(site)},
    follows=frozenset({"kafka_bootstrap", "namespace"}),
    reads_code=True,
    stop_seconds=20,
)
