"""Runs whose process is gone: after a `kill -9` Dagster would call them started for ever.

Belongs here: finding and failing them, and the sensor that does. Does not belong here: what else
keeps a run back (`ticks.py`).

Run monitoring watches the default launcher's runs until they start, for minutes, and not after.
Their processes are children of the code server, in which sensors are evaluated: a process id means
the same to both, and a server of which a run has not been asked knows nothing of it. A run is
called starting before the server is asked: if the daemon is killed in between, nobody ever is.

A clock that is set must not fail a live run. The times of processes count from the boot and move
with the clock, those of events stay: nothing is called gone for its time alone.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import dagster as dg
import psutil

from de_stack.settings import Settings

_SWEEP_SECONDS = 30
_ASKING_SECONDS = 20
_BEGUN = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING)
_WITH_PROCESS = (dg.DagsterRunStatus.STARTING, *_BEGUN)
_STARTING, _START = dg.DagsterEventType.RUN_STARTING, dg.DagsterEventType.RUN_START
# multiprocessing's command line for a child that begins anew: Dagster's run workers.
_WORKER = "multiprocessing.spawn import spawn_main"
# In the environment of every service of `de-stack up`, and of what it starts.
_SERVICE = "DE_STACK_SERVICE"
_BEGAN = psutil.Process().create_time()


def fail_if_gone(instance: dg.DagsterInstance, settings: Settings, run: dg.DagsterRun) -> bool:
    """True, and the run is marked failed, if the process that executes it does not live.

    Only where Dagster is our own: a shared one has runs of other machines and containers, a
    `de-stack rebuild` in CI for one, and their process ids mean nothing here. There it is Dagster's
    run monitoring that ends what was killed, when the run's `dagster/max_runtime` is over.

    A process that begins after its run was marked failed does nothing: Dagster sees to that.
    """
    if settings.profile != "embedded" or run.status not in _WITH_PROCESS:
        return False
    if type(instance.run_launcher).__name__ != "DefaultRunLauncher":
        return False  # its worker may be on another machine
    event = _STARTING if run.status == dg.DagsterRunStatus.STARTING else _START
    pid, at = _said(instance, run.run_id, event)
    if at is None:
        return False
    if event == _STARTING:
        # Dagster says so before it asks the code server, which may be busy.
        is_asked = at >= _server_since() and time.time() < at + _ASKING_SECONDS
        if is_asked or _one_begins(instance):
            return False
        why = (
            "No process has started this run: the daemon was killed before it had asked for one, "
            "or the code server after that."
        )
    else:
        if pid is None or _lives(pid, at):
            return False
        why = f"The run's process {pid} is gone: it was killed. What it committed is adopted."
    # It may have ended well, or started, between our two looks.
    now = instance.get_run_by_id(run.run_id)
    if now is None or now.status != run.status:
        return False
    instance.report_run_failed(now, why)
    return True


def sweep_sensor() -> dg.SensorDefinition:
    """Fails every run whose process is gone, whoever asked for it, so that others can start."""

    @dg.sensor(
        name="runs__sweep",
        minimum_interval_seconds=_SWEEP_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs as failed whose process was killed, so that others can start.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SkipReason:
        if settings.profile != "embedded":
            return dg.SkipReason("profile external: this Dagster has runs of other machines, too")
        gone = sweep(context.instance, settings)
        if gone:
            context.log.warning(f"killed, marked as failed: {', '.join(gone)}")  # noqa: G004
        return dg.SkipReason(f"{len(gone)} runs were killed" if gone else "no run was killed")

    return sensor


def sweep(instance: dg.DagsterInstance, settings: Settings) -> list[str]:
    """Fail every run whose process is gone; their ids."""
    filters = dg.RunsFilter(statuses=list(_WITH_PROCESS))
    return [
        record.dagster_run.run_id
        for record in instance.get_run_records(filters)
        if fail_if_gone(instance, settings, record.dagster_run)
    ]


def _said(
    instance: dg.DagsterInstance, run_id: str, event: dg.DagsterEventType
) -> tuple[int | None, float | None]:
    """(process id, time) in a run's first event of a type; None for what it does not say."""
    for record in instance.get_records_for_run(run_id, of_type=event, limit=1).records:
        entry = record.event_log_entry
        return (entry.dagster_event.pid if entry.dagster_event else None), entry.timestamp
    return None, None


def _lives(pid: int, seen: float) -> bool:
    """True if the process that had this id at the time `seen` still runs.

    One that is older than `seen` is the same. One that is younger has taken the id over, or the
    clock was set: then what it is decides. After a clock that was set back, another one passes for
    the run's: until it ends, or run monitoring gives the run up.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return process.create_time() <= seen + 1 or _is_worker(process) or _is_typed(process)
    except psutil.NoSuchProcess:
        return False


def _is_ours(process: psutil.Process) -> bool:
    home = os.environ.get("DAGSTER_HOME")
    return home is not None and process.environ().get("DAGSTER_HOME") == home


def _is_worker(process: psutil.Process) -> bool:
    """True for a run worker of this Dagster, whichever code server has started it."""
    try:
        return _WORKER in " ".join(process.cmdline()) and _is_ours(process)
    except psutil.AccessDenied:
        return False  # another user's


def _is_typed(process: psutil.Process) -> bool:
    """True for Python that is no service: a command or a program that runs assets by itself."""
    try:
        words = process.cmdline()
        if not words or "python" not in Path(words[0]).name.lower():
            return False
        # It finds this Dagster without being told.
        is_command = any(Path(word).name == "de-stack" for word in words[1:2])
        return _SERVICE not in process.environ() and (is_command or _is_ours(process))
    except psutil.AccessDenied:
        return False  # another user's


def _server_since() -> float:
    """When this code server began: the earlier of what the clock said then and what it says now."""
    return min(_BEGAN, psutil.Process().create_time())


def _one_begins(instance: dg.DagsterInstance) -> bool:
    """True if a worker lives that has yet to say which run it is for, maybe a dead server's child.

    One that has said so works for another run.
    """
    filters = dg.RunsFilter(statuses=list(_BEGUN))
    known = {
        _said(instance, record.dagster_run.run_id, _START)[0]
        for record in instance.get_run_records(filters)
    }
    for process in psutil.process_iter():
        try:
            if process.pid not in known and _is_worker(process):
                return True
        except psutil.NoSuchProcess:
            continue
    return False
