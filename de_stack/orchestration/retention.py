"""Old runs and their event logs go; what the asset graph shows stays.

Belongs here: which finished runs may be deleted, the sensor that does. Does not belong here: ticks
(`retention` in dagster.yaml), alerts (they are kept).

Deleting a run deletes its events, and with them the status of the partitions that it materialized.
Hence a run stays while it holds the newest materialization of an asset or a partition, the newest
result of a check, or the last word about a stream's step (a blocked stream must not go on because
its failure was forgotten).
"""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from functools import cache

import dagster as dg
from dagster import AssetCheckKey

from de_stack.orchestration.blocks import STEP_TAG, STREAM_TAG
from de_stack.settings import Settings

_SECONDS = 3600
# A tick must end well under a minute.
_BUDGET_S = 20.0
_PAGE = 50
_FINISHED = [
    dg.DagsterRunStatus.SUCCESS,
    dg.DagsterRunStatus.FAILURE,
    dg.DagsterRunStatus.CANCELED,
]
_KEPT = (dg.DagsterEventType.ASSET_MATERIALIZATION, dg.DagsterEventType.ASSET_OBSERVATION)


class Keeper:
    """Says of old runs whether they must stay. What it has asked once it remembers."""

    def __init__(self, instance: dg.DagsterInstance, checks: list[AssetCheckKey]) -> None:
        self._instance = instance
        found = instance.event_log_storage.get_latest_asset_check_execution_by_key(checks)
        self._check_runs = {record.run_id for record in found.values()}
        self._newest_by_partition = cache(self._by_partition)
        self._newest_of_asset = cache(self._of_asset)
        self._last_words = cache(self._last_word)

    def keeps(self, run: dg.DagsterRun) -> bool:
        """True while something that the graph shows, or a block, hangs on the run."""
        if run.run_id in self._check_runs:
            return True
        stream, step = run.tags.get(STREAM_TAG), run.tags.get(STEP_TAG)
        if stream and step and run.run_id in self._last_words(stream, step):
            return True
        return any(self._is_newest(run.run_id, kind) for kind in _KEPT)

    def _is_newest(self, run_id: str, kind: dg.DagsterEventType) -> bool:
        for record in self._instance.get_records_for_run(run_id, of_type=kind).records:
            event = record.event_log_entry.dagster_event
            key = event.asset_key if event else None
            if event is None or key is None:
                continue
            if record.storage_id >= self._newest_of_asset(key, kind):
                return True
            newest = self._newest_by_partition(key, kind)
            if event.partition and record.storage_id >= newest.get(event.partition, 0):
                return True
        return False

    def _by_partition(self, key: dg.AssetKey, kind: dg.DagsterEventType) -> dict[str, int]:
        storage = self._instance.event_log_storage
        return dict(storage.get_latest_storage_id_by_partition(key, kind))

    def _of_asset(self, key: dg.AssetKey, kind: dg.DagsterEventType) -> int:
        filters = dg.EventRecordsFilter(event_type=kind, asset_key=key)
        newest = self._instance.event_log_storage.get_event_records(filters, limit=1)
        return newest[0].storage_id if newest else 0

    def _last_word(self, stream: str, step: str) -> set[str]:
        tags = {STREAM_TAG: stream, STEP_TAG: step}
        filters = dg.RunsFilter(statuses=_FINISHED, tags=tags)
        newest = {r.dagster_run.run_id for r in self._instance.get_run_records(filters, limit=1)}
        ended = dg.RunsFilter(statuses=_FINISHED[:2], tags=tags)
        records = self._instance.get_run_records(ended, limit=10)
        last = max(records, key=lambda r: r.end_time or 0.0, default=None)
        return newest | ({last.dagster_run.run_id} if last else set())


def purge(
    instance: dg.DagsterInstance,
    checks: list[AssetCheckKey],
    before: datetime,
    cursor: str | None = None,
    budget_s: float = _BUDGET_S,
) -> tuple[int, str | None]:
    """Delete finished runs that were created before a time and that nothing hangs on.

    Returns:
        How many were deleted, and the last kept run to go on from; None at the end of the list.
    """
    keeper, began, deleted = Keeper(instance, checks), time.monotonic(), 0
    filters = dg.RunsFilter(statuses=_FINISHED, created_before=before)
    while True:
        page = instance.get_run_records(filters, limit=_PAGE, cursor=cursor, ascending=True)
        for record in page:
            run = record.dagster_run
            if time.monotonic() - began > budget_s:
                return deleted, cursor
            if keeper.keeps(run):
                # A deleted run would be no place to go on from.
                cursor = run.run_id
            else:
                instance.delete_run(run.run_id)
                deleted += 1
        if len(page) < _PAGE:
            return deleted, None


def retention_sensor() -> dg.SensorDefinition:
    """Deletes old runs a few at a time. Only where Dagster is our own."""

    @dg.sensor(
        name="runs__retention",
        minimum_interval_seconds=_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Deletes runs older than DE_STACK_RUN_RETENTION_DAYS that nothing hangs on.",
    )
    def sensor(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SkipReason:
        if settings.profile != "embedded":
            return dg.SkipReason("profile external: this Dagster may have runs of others")
        if context.instance.event_log_storage.is_run_sharded:
            return dg.SkipReason("SQLite numbers each run's events anew: nothing can be compared")
        graph = context.repository_def.asset_graph if context.repository_def else None
        checks = sorted(graph.asset_check_keys) if graph else []
        before = datetime.now(UTC) - timedelta(days=settings.run_retention_days)
        cursor = context.cursor or None
        if cursor and context.instance.get_run_by_id(cursor) is None:
            cursor = None  # Somebody has deleted it: from the beginning.
        deleted, cursor = purge(context.instance, checks, before, cursor)
        context.update_cursor(cursor or "")
        return dg.SkipReason(f"{deleted} runs deleted that began before {before:%Y-%m-%d %H:%M}")

    return sensor
