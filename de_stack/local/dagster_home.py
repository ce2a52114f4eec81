"""`DAGSTER_HOME`: what the webserver, the daemon, the code server and `dagster` commands share.

Belongs here: the instance's configuration, the environment that points to it, what the three
processes have in common. Does not belong here: what each of them is, or any definition.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from de_stack.local import secrets
from de_stack.local.service import Service, Site
from de_stack.local.state import write_private
from de_stack.local.templates import render
from de_stack.setting_sources import ADDRESSES, STICKY

# Definitions are made from the settings at load: other settings, other definitions.
FOLLOWS = (ADDRESSES - {"webserver_url"}) | (STICKY - {"generator_rate"})
# Three services prepare at the same time.
_writing = threading.Lock()


def folder(site: Site) -> Path:
    """`DAGSTER_HOME` of the stack."""
    return site.home / "dagster"


def workspace(site: Site) -> Path:
    """Workspace file that points to the code server."""
    return folder(site) / "workspace.yaml"


def environment(site: Site) -> dict[str, str]:
    """What every Dagster process of the stack needs."""
    return {
        "DAGSTER_HOME": str(folder(site)),
        # The daemon plans a run over many periods with an event for each; one by one it took a
        # minute for 1,900. Run workers hear it from `definitions`.
        "DAGSTER_EVENT_BATCH_SIZE": "500",
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "PYTHONUNBUFFERED": "1",
    }


def prepare(site: Site) -> None:
    """Write the instance's configuration."""
    libpq = secrets.dsn(site.home, site.ports["postgres"], "dagster", "dagster")
    url = libpq.replace("postgresql://", "postgresql+psycopg2://", 1)
    with _writing:
        folder(site).mkdir(mode=0o700, exist_ok=True)
        text = render("dagster.yaml", postgres_url=url, home=site.home)
        write_private(folder(site) / "dagster.yaml", text)
        write_private(workspace(site), render("workspace.yaml", port=site.ports["code_server"]))


def service(
    name: str, command: Callable[[Site], list[str]], probe: Callable[[Site], str], **own: Any
) -> Service:
    """A Dagster process of the stack; `own` are the arguments of `Service` that only it has."""
    return Service(
        name=name,
        command=command,
        probe=probe,
        environment=environment,
        prepare=prepare,
        folder=folder,
        follows=FOLLOWS,
        settle_seconds=3,
        **own,
    )
