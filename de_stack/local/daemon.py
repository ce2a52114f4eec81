"""Dagster's daemon: sensors, schedules, the run queue, run monitoring.

Belongs here: its process, and how it shows that it lives. Does not belong here: any sensor.
"""

from __future__ import annotations

import sys
import time

from de_stack.local import dagster_home, secrets
from de_stack.local.service import Site

# It writes a heartbeat every 30 s.
_OLDEST_BEAT_SECONDS = 90


def _command(site: Site) -> list[str]:
    workspace = str(dagster_home.workspace(site))
    return [sys.executable, "-m", "de_stack.local.dagster_daemon", "run", "-w", workspace]


def _probe(site: Site) -> str:
    import psycopg

    spec = site.home / "supervisor" / "specs" / "daemon.json"
    # A heartbeat of the daemon that ran before this one proves nothing.
    since = max(spec.stat().st_mtime, time.time() - _OLDEST_BEAT_SECONDS)
    address = secrets.dsn(site.home, site.ports["postgres"], "dagster", "dagster")
    try:
        with psycopg.connect(address, connect_timeout=2) as db:
            row = db.execute(
                "SELECT count(*) FROM daemon_heartbeats"
                " WHERE timestamp >= to_timestamp(%s) AT TIME ZONE 'UTC'",
                (since,),
            ).fetchone()
    except psycopg.Error as error:
        return f"a heartbeat ({type(error).__name__})"
    return "" if row and row[0] else "a heartbeat"


SERVICE = dagster_home.service(
    name="daemon",
    command=_command,
    probe=_probe,
    # A sensor that asks before these are there would report a failure that is none.
    depends_on=("postgres", "kafka", "spark", "code_server"),
    stop_seconds=20,
)
