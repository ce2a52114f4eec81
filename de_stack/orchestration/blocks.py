"""When a stream's step may not run again yet: blocked by a permanent failure, or waiting.

Belongs here: what the last runs of a step say about the next one, acknowledging. Does not belong
here: asking for runs (`ticks.py`), why a run failed (`failed.py`).

Derived from the runs and what people have decided; nothing else is stored. A run that succeeded
ends every wait, a person's re-execution too: it carries the tags.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal, get_args

import dagster as dg

from de_stack import naming
from de_stack.failures import PAGES, PermanentFailure
from de_stack.flow.decisions import Decisions
from de_stack.orchestration.failed import Why, why
from de_stack.settings import Settings

STREAM_TAG, STEP_TAG = "de_stack/stream", "de_stack/step"
Step = Literal["land", "derive", "dead", "mart"]
STEPS: tuple[Step, ...] = get_args(Step)
# A canceled run says nothing about the next one.
_FINISHED = [dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE]
_LONGEST_WAIT_S = 600
_PATIENT_FROM = 2
# 2^10 s is past the longest wait.
_RUNS = 10


def subject_of(settings: Settings, stream: str) -> str:
    """What runs and decisions call a stream: two namespaces may share one Dagster."""
    return settings.names.topic(*naming.split_stream(stream))


def held_back(
    instance: dg.DagsterInstance, settings: Settings, stream: str, step: str, interval_s: int
) -> str | None:
    """Why a step must not run now, and how to go on; None where it may.

    Raises:
        TransientFailure: the ledger was away, so nobody knows what was acknowledged.
    """
    ended, reasons = 0.0, []
    for at, run_id, reason in _failures(instance, settings, stream, step):
        if reason.can_retry_help is False:
            if not reasons and not _is_acknowledged(settings, stream, step, run_id):
                return (
                    f"blocked: run {run_id} failed, and a retry cannot help: {reason.message}. "
                    f"When the cause is gone: `de-stack acknowledge {stream} --step {step}`, "
                    f"or run it again in the UI; see {PAGES}/blocked.md"
                )
            break  # Somebody has acted since: what came after it counts.
        ended = ended or at
        reasons.append(reason)
    # One failure may be a machine that was switched off: with an hourly sensor, waiting after it
    # would cost an hour.
    if len(reasons) < _PATIENT_FROM:
        return None
    left = ended + min(2 ** len(reasons) * interval_s, _LONGEST_WAIT_S) - time.time()
    if left <= 0:
        return None
    return (
        f"{len(reasons)} runs in a row have failed, the next one in {left:.0f} s or more: "
        f"{reasons[0].message}"
    )


def acknowledge(
    instance: dg.DagsterInstance,
    settings: Settings,
    stream: str,
    step: str | None,
    reason: str,
    decided_by: str,
) -> list[tuple[str, str, str]]:
    """Let blocked steps of a stream go on: (step, run id, its failure) of each.

    Raises:
        PermanentFailure: there is no such step.
        TransientFailure: the ledger was away.
    """
    if step is not None and step not in STEPS:
        tried = f"acknowledge {stream} {step}"
        raise PermanentFailure(
            tried, "there is no such step", f"one of {', '.join(STEPS)}", page="blocked"
        )
    found = []
    for each in STEPS if step is None else (step,):
        newest = next(_failures(instance, settings, stream, each), None)
        if newest is None:
            continue
        _, run_id, failure = newest
        if failure.can_retry_help is False and not _is_acknowledged(settings, stream, each, run_id):
            found.append((each, run_id, failure.message))
    details = [{"step": each, "run_id": run_id} for each, run_id, _ in found]
    decisions = Decisions(settings, subject_of(settings, stream))
    decisions.enter("acknowledge", details, reason, decided_by)
    return found


def _failures(
    instance: dg.DagsterInstance, settings: Settings, stream: str, step: str
) -> Iterator[tuple[float, str, Why]]:
    """(end, run id, why) of a step's failed runs since its last success, newest first."""
    tags = {STREAM_TAG: subject_of(settings, stream), STEP_TAG: step}
    filters = dg.RunsFilter(statuses=_FINISHED, tags=tags)
    records = instance.get_run_records(filters, limit=_RUNS)
    # By their end: a re-execution may have begun before the run that it repairs was given up.
    for record in sorted(records, key=lambda r: r.end_time or 0.0, reverse=True):
        run = record.dagster_run
        if run.status == dg.DagsterRunStatus.SUCCESS:
            return
        yield record.end_time or 0.0, run.run_id, why(instance, run.run_id, settings)


def _is_acknowledged(settings: Settings, stream: str, step: str, run_id: str) -> bool:
    decisions = Decisions(settings, subject_of(settings, stream))
    return decisions.is_acknowledged(step, run_id)
