"""Dagster's code server: holds the definitions, starts the run workers, reloads from the UI.

Belongs here: its process. Does not belong here: what it loads (`de_stack/definitions.py`).
"""

from __future__ import annotations

import sys

from de_stack.local import dagster_home
from de_stack.local.service import LOOPBACK, Site, port_probe

MODULE = "de_stack.definitions"


def _command(site: Site) -> list[str]:
    where = ["-h", LOOPBACK, "-p", str(site.ports["code_server"])]
    return [sys.executable, "-m", "dagster", "code-server", "start", "-m", MODULE, *where]


SERVICE = dagster_home.service(
    name="code_server",
    command=_command,
    probe=port_probe("code_server"),
    ports={"code_server": 14266},
    depends_on=("postgres",),
    reads_code=True,
    # A busy one was seen to ignore SIGTERM: supervisord then kills it and all below it.
    stop_seconds=10,
)
