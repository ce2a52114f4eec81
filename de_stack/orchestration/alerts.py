"""One readable alert per failed run: written at once, sent until it has arrived.

Belongs here: what an alert says, the two sensors. Does not belong here: file and webhook
(`resources.alerts`), why a run failed (`failed.py`).
"""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import dagster as dg

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.orchestration import spans
from de_stack.orchestration.blocks import STEP_TAG, STREAM_TAG
from de_stack.orchestration.failed import why
from de_stack.resources.alerts import Alerts
from de_stack.settings import Settings

_SECONDS = 30
# A failure bears the time of its event, and may be stored long after younger ones: by a worker that
# waited for Postgres. Written twice it is not: the file knows its runs.
_AGAIN_SECONDS = 3600
# A tick must end well under a minute, and one alert may take 5 s.
_MOST_PER_TICK = 5


def alert_of(
    instance: dg.DagsterInstance, run: dg.DagsterRun, settings: Settings
) -> dict[str, Any]:
    """What there is to say of a failed run, without secrets."""
    record = instance.get_run_record_by_id(run.run_id)
    ended = record.end_time if record and record.end_time else datetime.now(UTC).timestamp()
    keys = spans.keys_of(run.tags)
    url = settings.webserver_url
    return {
        "run_id": run.run_id,
        "at": datetime.fromtimestamp(ended, UTC).isoformat(timespec="seconds"),
        "job": run.job_name,
        "assets": sorted(k.to_user_string() for k in run.asset_selection or []),
        "partitions": list(keys) if keys else None,
        "stream": run.tags.get(STREAM_TAG),
        "step": run.tags.get(STEP_TAG),
        "failure": asdict(why(instance, run.run_id, settings)),
        "link": f"{url.rstrip('/')}/runs/{run.run_id}" if url else None,
    }


def write_sensor() -> dg.SensorDefinition:
    """Writes one alert for each run that failed, whoever asked for it.

    Its cursor is how far the failures have been written: a tick that cannot write (a full disk)
    fails, and the next one begins where it began. Dagster's own run failure sensor goes on behind a
    run that it could not tell of.
    """

    @dg.sensor(
        name="alerts__write",
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="One line in <home>/alerts/alerts.jsonl for each run that failed.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SkipReason:
        alerts, written = Alerts(settings), 0
        known, reached = alerts.run_ids(), min(_reached(context.cursor), time.time())
        for record in context.instance.get_run_records(
            dg.RunsFilter(
                statuses=[dg.DagsterRunStatus.FAILURE],
                updated_after=datetime.fromtimestamp(reached - _AGAIN_SECONDS, UTC),
            ),
            order_by="update_timestamp",
            ascending=True,
        ):
            run = record.dagster_run
            is_ours = settings.profile == "embedded" or _is_ours(context, run)
            if is_ours and run.run_id not in known:
                written += alerts.append(alert_of(context.instance, run, settings))
            reached = max(reached, record.update_timestamp.timestamp())
        context.update_cursor(str(reached))
        return dg.SkipReason(f"{written} written" if written else "no run has failed")

    return sensor


def _reached(cursor: str | None) -> float:
    """The time up to which failures have been written; at first, little of the past is told."""
    try:
        return float(cursor or "")
    except ValueError:  # Another kind of sensor had this name before.
        return time.time()


def _is_ours(context: dg.SensorEvaluationContext, run: dg.DagsterRun) -> bool:
    """True for a run of our code location.

    In a Dagster of our own every run is: one that a person has typed (`de-stack rebuild`) belongs
    to no code location. In a shared one the failures of others are not ours to send, and their
    secrets are not known here, so nothing would mask them.
    """
    origin, own = run.remote_job_origin, context.code_location_origin
    if origin is None or own is None:
        return False
    return origin.repository_origin.code_location_origin.location_name == own.location_name


def send_sensor() -> dg.SensorDefinition:
    """Sends what was written, in order; what did not arrive goes again at the next tick.

    Its cursor is how far the file has arrived. An alert may come twice (by its run id), never not;
    one that the webhook refuses is logged and keeps nothing else back.
    """

    @dg.sensor(
        name="alerts__send",
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Posts alerts to DE_STACK_ALERT_WEBHOOK until they have arrived.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SkipReason:
        alerts = Alerts(settings)
        if settings.alert_webhook is None:
            # A webhook that is set later is not told of the past.
            context.update_cursor(str(alerts.size()))
            return dg.SkipReason("no webhook: set DE_STACK_ALERT_WEBHOOK")
        sent = refused = 0
        for alert, position in alerts.after(int(context.cursor or 0)):
            if sent + refused == _MOST_PER_TICK:
                break
            try:
                alerts.send(alert)
                sent += 1
            except PermanentFailure as failure:
                context.log.warning(str(failure))
                refused += 1
            except TransientFailure as failure:
                context.log.warning(str(failure))
                return dg.SkipReason(
                    f"{sent} sent, the next one waits for the next tick: {failure}"
                )
            context.update_cursor(str(position))
        said = f"{sent} sent" if sent or refused else "nothing new"
        return dg.SkipReason(f"{said}, {refused} refused" if refused else said)

    return sensor
