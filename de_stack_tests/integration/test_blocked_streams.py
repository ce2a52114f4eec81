"""A landing that a retry cannot help: blocked, told, acknowledged; real broker, real ledger."""

import logging
from datetime import UTC, datetime

import dagster as dg
from kafka.structs import TopicPartition

from de_stack import partitions
from de_stack.contracts import load_stream
from de_stack.defs.telemetry import watch
from de_stack.flow import offsets
from de_stack.orchestration import blocks
from de_stack.orchestration.blocks import STEP_TAG, STREAM_TAG, acknowledge
from de_stack.resources.kafka import Kafka
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import materialize, measure, produce
from de_stack_tests.integration.test_sensors import tick

STREAM = load_stream("telemetry.measures")


def delete_everything(settings: Settings) -> None:
    topic = settings.names.topic("telemetry", "measures")
    state = Kafka(settings).topic_state(topic)
    assert state is not None
    with Kafka(settings).admin("delete in a test") as client:
        client.delete_records({TopicPartition(topic, p): e for p, e in state.end.items()})


def test_a_lost_range_blocks_its_stream_until_a_person_has_acknowledged_it(
    settings, monkeypatch
) -> None:
    tags = {STREAM_TAG: f"{settings.namespace}.telemetry.measures", STEP_TAG: "land"}
    now = datetime.now(UTC)
    hour = partitions.floor(now, "hour")
    logging.getLogger("de_stack").setLevel(logging.INFO)
    with dg.DagsterInstance.ephemeral() as instance:
        produce(settings, [measure("a", 1.0, now)])
        asked = tick(watch.land_measures, settings, instance)
        assert isinstance(asked, dg.RunRequest)
        assert asked.tags | tags == asked.tags
        assert materialize(["bronze_measures"], hour, instance=instance, tags=tags).success

        produce(settings, [measure("a", 2.0, now)] * 20)
        delete_everything(settings)
        done = materialize(
            ["bronze_measures"], hour, instance=instance, tags=tags, raise_on_error=False
        )
        assert not done.success
        said = str(tick(watch.land_measures, settings, instance))
        assert said.startswith(f"blocked: run {done.run_id} failed")
        assert "they were never landed" in said
        assert "de-stack acknowledge telemetry.measures --step land" in said

        # The cause is gone, and the stream is still blocked: nobody has looked at it.
        assert offsets.accept_gaps(settings, STREAM, "the broker was full", "somebody")
        assert "blocked" in str(tick(watch.land_measures, settings, instance))
        produce(settings, [measure("a", 3.0, now)])
        with monkeypatch.context() as naive:
            # Without the block the sensor would ask, whatever the last run has said.
            naive.setattr("de_stack.orchestration.ticks.held_back", lambda *_: None)
            assert isinstance(tick(watch.land_measures, settings, instance), dg.RunRequest)
        ((step, run_id, _),) = acknowledge(
            instance, settings, STREAM.name, None, "offsets accepted", "somebody"
        )
        assert (step, run_id) == ("land", done.run_id)
        assert isinstance(tick(watch.land_measures, settings, instance), dg.RunRequest)
        assert materialize(["bronze_measures"], hour, instance=instance, tags=tags).success
        assert tick(watch.land_measures, settings, instance) == "nothing new in Kafka"
    assert blocks.subject_of(settings, STREAM.name) == tags[STREAM_TAG]
