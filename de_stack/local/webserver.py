"""Dagster's webserver: the asset graph in a browser.

Belongs here: its process, and the check that it really shows our definitions. Does not belong
here: anything that it shows.
"""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from typing import Any

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.local import dagster_home
from de_stack.local.service import LOOPBACK, Site, listens

_QUERY = """{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError {
  __typename ... on PythonError { message } } } } ... on PythonError { message } } }"""
_LOAD_SECONDS = 60


def url(site: Site) -> str:
    """Address of the UI."""
    return f"http://{LOOPBACK}:{site.ports['webserver']}"


def _command(site: Site) -> list[str]:
    where = ["-h", LOOPBACK, "-p", str(site.ports["webserver"])]
    workspace = str(dagster_home.workspace(site))
    return [sys.executable, "-m", "dagster_webserver", "-w", workspace, *where]


def _get(request: urllib.request.Request | str, timeout_seconds: float = 5) -> bytes:
    # Loopback never goes through a proxy of the environment.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=timeout_seconds) as answer:
        return answer.read()


def _probe(site: Site) -> str:
    if not listens(site.ports["webserver"]):
        return url(site)
    try:
        _get(f"{url(site)}/server_info")
    except (OSError, urllib.error.URLError) as error:
        return f"{url(site)}/server_info ({error})"
    return ""


def _entries(site: Site) -> list[dict[str, Any]]:
    body = json.dumps({"query": _QUERY}).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{url(site)}/graphql", body, headers)  # noqa: S310
    return json.loads(_get(request, 30))["data"]["workspaceOrError"].get("locationEntries", [])


def _definitions_loaded(site: Site) -> list[str]:
    """The UI comes up with an empty graph when our code cannot be imported: say why instead."""
    deadline = time.monotonic() + _LOAD_SECONDS
    while True:
        found = [entry["locationOrLoadError"] for entry in _entries(site)]
        if any(load and load["__typename"] != "PythonError" for load in found):
            return []
        message = next((load["message"] for load in found if load), "it is still loading")
        is_broken = any(found) and "UNAVAILABLE" not in message
        if is_broken or time.monotonic() > deadline:
            kind = PermanentFailure if is_broken else TransientFailure
            log = site.log("code_server")
            raise kind(
                "load de_stack.definitions",
                message.strip(),
                f"read {log}, mend, `de-stack up`",
                page="service-ended",
            )
        time.sleep(0.5)


SERVICE = dagster_home.service(
    name="webserver",
    command=_command,
    probe=_probe,
    ports={"webserver": 3000},
    depends_on=("postgres",),
    # Both import for seconds; the webserver finds the code server when it is there.
    alongside=("code_server",),
    addresses=lambda site: {"webserver_url": url(site)},
    after_ready=_definitions_loaded,
)
