"""What tests of asset checks share: results by name, the hourly run of a stream's checks."""

from __future__ import annotations

import dagster as dg

from de_stack.definitions import defs
from de_stack.settings import Settings

_MEASURES = "telemetry__measures__check"


def results(result: dg.ExecuteInProcessResult) -> dict[str, dg.AssetCheckEvaluation]:
    """`table check` -> what it said."""
    return {
        f"{e.asset_key.path[1]} {e.check_name}": e for e in result.get_asset_check_evaluations()
    }


def hourly(
    settings: Settings, instance: dg.DagsterInstance, name: str = _MEASURES
) -> dg.RunRequest | str:
    """What the hourly tick of a stream asks for, or why for nothing."""
    context = dg.build_schedule_context(instance=instance, resources={"settings": settings})
    said = defs().get_schedule_def(name).evaluate_tick(context)
    return next(iter(said.run_requests or []), said.skip_message or "")


def run_hourly(
    settings: Settings, instance: dg.DagsterInstance, name: str = _MEASURES
) -> dict[str, dg.AssetCheckEvaluation]:
    """The run that the tick asks for."""
    asked = hourly(settings, instance, name)
    assert isinstance(asked, dg.RunRequest), asked
    job = defs().resolve_job_def(defs().get_schedule_def(name).job_name)
    return results(job.execute_in_process(instance=instance, tags=asked.tags))
