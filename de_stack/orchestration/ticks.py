"""Sensors: what waits, and the one run that does it; the hour's look at what does not move.

Belongs here: sensor factories for landing, deriving, dead letters and marts, the schedule factory
for checks. Does not belong here: consuming, moving data; a sensor reads end offsets and the ledger,
nothing else.

At most one run per stream and step is in flight, found by tag. Run keys would be remembered for
ever and refuse an hour that becomes pending again.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import dagster as dg

from de_stack import naming, partitions
from de_stack.contracts import Dataset, Stream
from de_stack.flow.dead_letters import has_news
from de_stack.flow.event_hours import Lag
from de_stack.flow.land import waiting
from de_stack.flow.ledger import Ledger
from de_stack.flow.publish import WHOLE
from de_stack.orchestration.blocks import STEP_TAG, STREAM_TAG, Step, held_back
from de_stack.orchestration.orphans import fail_if_gone
from de_stack.orchestration.waiting import MAX_SECONDS, waiting_range
from de_stack.settings import Settings

_UNFINISHED = [
    dg.DagsterRunStatus.QUEUED,
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
]
# Of the broker: a tick that meets none ends, the next one asks again.
_DEADLINE_MS = 2000
# Not with the hour, when sensors have most to do.
_HOURLY = "41 * * * *"


@dataclass(frozen=True)
class Stage:
    """One link of silver -> gold -> publish: the asset and the one it reads, as `layer_entity`."""

    domain: str
    asset: str
    reads: str

    @property
    def key(self) -> dg.AssetKey:
        """Asset key of this stage."""
        return dg.AssetKey(naming.asset_key(self.domain, *self.asset.split("_", 1)))

    def lagging(self, settings: Settings, grain: str, look_back: timedelta | None) -> list[Lag]:
        """Event periods that this stage has not used as they are now."""
        return Ledger(settings).lagging(*self.tables(settings), grain, look_back)

    def tables(self, settings: Settings) -> tuple[str, str]:
        """How the ledger calls both tables: the one of this asset, the one that it reads."""
        return (
            settings.names.table_id(self.domain, *self.asset.split("_", 1)),
            settings.names.table_id(self.domain, *self.reads.split("_", 1)),
        )


def chain(domain: str, *assets: str) -> tuple[Stage, ...]:
    """Stages of a domain from its assets in order: each reads the one before."""
    return tuple(Stage(domain, asset, reads) for reads, asset in pairwise(assets))


def in_flight(
    context: dg.SensorEvaluationContext | dg.ScheduleEvaluationContext,
    settings: Settings,
    subject: str,
    step: str,
) -> str | None:
    """Id of the unfinished run of a subject's step, if there is one whose process lives."""
    filters = dg.RunsFilter(statuses=_UNFINISHED, tags={STREAM_TAG: subject, STEP_TAG: step})
    for record in context.instance.get_run_records(filters):
        if not fail_if_gone(context.instance, settings, record.dagster_run):
            return record.dagster_run.run_id
        context.log.warning(f"run {record.dagster_run.run_id} was killed: marked as failed")  # noqa: G004
    return None


def sensor_name(domain: str, entity: str, step: str) -> str:
    """How Dagster calls the sensor of a step."""
    return f"{domain}__{entity}__{step}"


def asking(
    domain: str,
    entity: str,
    step: Step,
    assets: Sequence[dg.AssetKey],
    interval_seconds: int,
    description: str,
    ask: Callable[[Settings], dg.RunRequest | str],
) -> dg.SensorDefinition:
    """A sensor whose ticks `ask` for a run, or say why for none, while no such run is in flight."""

    @dg.sensor(
        name=sensor_name(domain, entity, step),
        target=dg.AssetSelection.assets(*assets),
        minimum_interval_seconds=interval_seconds,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description=description,
    )
    def sensor(
        context: dg.SensorEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.SensorResult | dg.SkipReason:
        # Two namespaces may share one Dagster.
        subject = settings.names.topic(domain, entity)
        if run := in_flight(context, settings, subject, step):
            return dg.SkipReason(f"run {run} is at it")
        stream = naming.stream_name(domain, entity)
        if why := held_back(context.instance, settings, stream, step, interval_seconds):
            (context.log.error if why.startswith("blocked") else context.log.warning)(why)
            return dg.SkipReason(why)
        asked = ask(settings)
        if isinstance(asked, str):
            return dg.SkipReason(asked)
        tags = {STREAM_TAG: subject, STEP_TAG: step, "dagster/max_runtime": MAX_SECONDS}
        return dg.SensorResult([asked.with_replaced_attrs(tags={**tags, **asked.tags})])

    return sensor


def land_sensor(stream: Stream) -> dg.SensorDefinition:
    """Asks for a landing when the topic's end lies past what has landed."""
    key = dg.AssetKey(naming.asset_key(stream.domain, "bronze", stream.entity))

    def ask(settings: Settings) -> dg.RunRequest | str:
        count = waiting(settings, stream, _DEADLINE_MS)
        if not count:
            return "nothing new in Kafka"
        now = partitions.floor(datetime.now(UTC), stream.grain)
        return dg.RunRequest(
            asset_selection=[key],
            partition_key=partitions.key(now, stream.grain),
            tags={"de_stack/waiting": str(count)},
        )

    return asking(
        stream.domain,
        stream.entity,
        "land",
        [key],
        Settings().sensor_interval_seconds,
        f"Lands {stream.name} when Kafka has offsets that bronze does not.",
        ask,
    )


def derive_sensor(stream: Dataset, stages: Sequence[Stage]) -> dg.SensorDefinition:
    """Asks for the oldest range of pending periods, from the first stage that lags.

    Only the first stage holds old periods back: the later ones follow what it has committed.
    """

    def ask(settings: Settings) -> dg.RunRequest | str:
        return waiting_range(settings, stream, stages)

    return asking(
        stream.domain,
        stream.entity,
        "derive",
        [stage.key for stage in stages],
        Settings().sensor_interval_seconds,
        f"Refines and publishes the pending event periods of {stream.name}.",
        ask,
    )


def dead_letter_sensor(stream: Stream) -> dg.SensorDefinition:
    """Asks for the dead letters' table when bronze may have letters that it has not."""
    key = dg.AssetKey(naming.asset_key(stream.domain, "dead", stream.entity))

    def ask(settings: Settings) -> dg.RunRequest | str:
        if not has_news(settings, stream):
            return "no new dead letter, and no replay has landed"
        return dg.RunRequest(asset_selection=[key])

    return asking(
        stream.domain,
        stream.entity,
        "dead",
        [key],
        Settings().sensor_interval_seconds,
        f"Enters what {stream.name} has of messages against the contract.",
        ask,
    )


def mart_sensor(domain: str, mart: str, reads: str) -> dg.SensorDefinition:
    """Asks for an unpartitioned mart and its copy when its source is newer than what is published.

    Args:
        domain: of the mart and of the table that it reads.
        mart: the mart's table, `mart_...`.
        reads: the table that it reads, `layer_entity`.
    """
    return marts_sensor(domain, naming.split_asset(mart)[1], {mart: reads})


def marts_sensor(domain: str, entity: str, reads: Mapping[str, str]) -> dg.SensorDefinition:
    """The same for several tables of dbt: those whose source has moved on, in one run.

    A run costs as much as its work here.

    Args:
        domain: of all tables.
        entity: what the sensor is called by.
        reads: table of dbt -> the one table that it reads, both `layer_entity`.
    """

    def keys(mart: str) -> list[dg.AssetKey]:
        pairs = (naming.split_asset(mart), ("published", mart))
        return [dg.AssetKey(naming.asset_key(domain, *pair)) for pair in pairs]

    def is_old(settings: Settings, mart: str) -> bool:
        ledger, names = Ledger(settings), settings.names
        newest = ledger.newest(names.table_id(domain, *naming.split_asset(reads[mart])))
        used = ledger.applied(names.table_id(domain, "published", mart), WHOLE)
        return newest is not None and (used is None or newest > used)

    def ask(settings: Settings) -> dg.RunRequest | str:
        old = [mart for mart in reads if is_old(settings, mart)]
        if not old:
            return "the source has not changed"
        return dg.RunRequest(asset_selection=[key for mart in old for key in keys(mart)])

    return asking(
        domain,
        entity,
        "mart",
        [key for mart in reads for key in keys(mart)],
        Settings().mart_interval_seconds,
        f"Builds and publishes what dbt makes when its source has changed: {', '.join(reads)}.",
        ask,
    )


def check_schedule(stream: Stream, *names: str, **others: str) -> dg.ScheduleDefinition:
    """Runs checks of a stream's silver each hour, by themselves and without Spark.

    `others`: asset of the stream's domain -> a check of it that is run with them.

    For what nobody would see otherwise: checks come with runs, and runs with data. When the source
    is gone, or what was accepted never lands, there is no run.
    """
    silver = naming.asset_name("silver", stream.entity)
    pairs = [*((silver, name) for name in names), *others.items()]
    keys = [dg.AssetCheckKey(dg.AssetKey([stream.domain, asset]), name) for asset, name in pairs]

    @dg.schedule(
        name=f"{stream.domain}__{stream.entity}__check",
        target=dg.AssetSelection.checks(*keys),
        cron_schedule=_HOURLY,
        execution_timezone="UTC",
        default_status=dg.DefaultScheduleStatus.RUNNING,
        description=f"Looks at {stream.name} though nothing lands: "
        + ", ".join(name for _, name in pairs)
        + ".",
    )
    def schedule(
        context: dg.ScheduleEvaluationContext, settings: dg.ResourceParam[Settings]
    ) -> dg.RunRequest | dg.SkipReason:
        subject, step = settings.names.topic(stream.domain, stream.entity), "check"
        if run := in_flight(context, settings, subject, step):
            return dg.SkipReason(f"run {run} is at it")
        tags = {STREAM_TAG: subject, STEP_TAG: step, "dagster/max_runtime": MAX_SECONDS}
        return dg.RunRequest(tags=tags)

    return schedule
