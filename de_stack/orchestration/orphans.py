"""Runs whose process is gone: after a `kill -9` Dagster would call them started for ever.

Belongs here: finding and failing them. Does not belong here: which run is looked at (`ticks.py`).

Run monitoring watches the default launcher's runs until they start, not after. Their processes are
children of the code server, and so are sensors: a process id means the same to both.
"""

from __future__ import annotations

import dagster as dg
import psutil

_WITH_PROCESS = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)


def fail_if_gone(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """True, and the run is marked failed, if the process that executed it does not live."""
    if run.status not in _WITH_PROCESS:
        return False
    if type(instance.run_launcher).__name__ != "DefaultRunLauncher":
        return False  # its worker may be on another machine
    records = instance.get_records_for_run(
        run.run_id, of_type=dg.DagsterEventType.RUN_START, limit=1
    ).records
    if not records:
        return False
    entry = records[0].event_log_entry
    pid = entry.dagster_event.pid if entry.dagster_event else None
    if pid is None or _lives(pid, entry.timestamp):
        return False
    instance.report_run_failed(
        run, f"The run's process {pid} is gone: it was killed. What it committed is adopted."
    )
    return True


def _lives(pid: int, seen: float) -> bool:
    """True if the process that had this id at the time `seen` still runs."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= seen + 1
    except psutil.NoSuchProcess:
        return False
