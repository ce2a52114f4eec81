"""Runs whose process is gone: after a `kill -9` Dagster would call them started for ever.

Belongs here: finding and failing them, and the sensor that does. Does not belong here: what else
keeps a run back (`ticks.py`).

Run monitoring watches the default launcher's runs until they start, for minutes, and not after.
Their processes are children of the code server, in which sensors are evaluated: a process id means
the same to both, and a server of which a run has not been asked knows nothing of it.
"""

from __future__ import annotations

import os

import dagster as dg
import psutil

from de_stack.settings import Settings

_SWEEP_SECONDS = 30
_WITH_PROCESS = (
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)
_STARTING, _START = dg.DagsterEventType.RUN_STARTING, dg.DagsterEventType.RUN_START
# multiprocessing's command line for a child that begins anew: Dagster's run workers.
_WORKER = "multiprocessing.spawn import spawn_main"


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
    records = instance.get_records_for_run(run.run_id, of_type=event, limit=1).records
    if not records:
        return False
    entry = records[0].event_log_entry
    if event == _STARTING:
        if entry.timestamp >= _server_since() or _begins_elsewhere(entry.timestamp):
            return False
        why = "The code server that was asked for this run was killed before the run had started."
    else:
        pid = entry.dagster_event.pid if entry.dagster_event else None
        if pid is None or _lives(pid, entry.timestamp):
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


def _lives(pid: int, seen: float) -> bool:
    """True if the process that had this id at the time `seen` still runs."""
    try:
        process = psutil.Process(pid)
        return process.status() != psutil.STATUS_ZOMBIE and process.create_time() <= seen + 1
    except psutil.NoSuchProcess:
        return False


def _server_since() -> float:
    """When this code server began, as seconds since the epoch."""
    return psutil.Process().create_time()


def _begins_elsewhere(asked: float) -> bool:
    """True if a worker lives that began between `asked` and this server: a dead server's child.

    It has yet to say which run it is for.
    """
    since = _server_since()
    for process in psutil.process_iter(["cmdline", "create_time", "uids"]):
        known = process.info
        if not asked - 1 <= (known["create_time"] or 0) < since:
            continue
        is_ours = known["uids"] and known["uids"].real == os.getuid()
        if is_ours and _WORKER in " ".join(known["cmdline"] or ()):
            return True
    return False
