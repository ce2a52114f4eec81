"""What tests of dead letters share: bad messages, letters, what became of them.

Belongs here: looking into topic, bronze and Postgres, a replay that is killed. Does not
belong here: tests, pipelines in general (`pipeline.py`).
"""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from pyspark.sql import SparkSession

from de_stack import partitions
from de_stack.contracts import Stream, load_stream
from de_stack.flow import land, letter_shelf
from de_stack.flow import refine as refine_to
from de_stack.flow import replay as again
from de_stack.flow.dead_letters import enter_letters
from de_stack.flow.ledger import Ledger
from de_stack.flow.letters import Letter
from de_stack.resources.kafka import Kafka
from de_stack.resources.kafka_messages import Message, read_range
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import (
    CHAIN,
    materialize,
    measure,
    until_committed,
)

STREAM = load_stream("telemetry.measures")
HOUR = partitions.floor(datetime.now(UTC), "hour") - timedelta(hours=1)
HOT = measure("a", 9e12, HOUR)
LOOSE = replace(
    STREAM,
    version="1.2.0",
    fields=tuple(replace(f, maximum=1e15) if f.name == "value" else f for f in STREAM.fields),
)


def landed(
    settings: Settings, spark: Callable[[], SparkSession], stream: Stream = STREAM
) -> land.Landing:
    until_committed(settings)
    return land.land(settings, stream, spark, "test")


def letters(settings: Settings, only_open: bool = True) -> list[Letter]:
    enter_letters(settings, STREAM, "test")
    return letter_shelf.letters(settings, STREAM, only_open)


def topic_messages(settings: Settings) -> list[Message]:
    until_committed(settings)
    state = Kafka(settings).topic_state(settings.names.topic("telemetry", "measures"))
    assert state is not None
    return list(read_range(settings, state.topic, state.begin, state.end))


def pending(settings: Settings) -> list[datetime]:
    names = settings.names
    raw, typed = (names.table_id("telemetry", x, "measures") for x in ("bronze", "silver"))
    return Ledger(settings).pending(typed, raw)


def refine_all(settings: Settings, spark: Callable[[], SparkSession], stream: Stream) -> None:
    for first, last in partitions.contiguous(pending(settings), "hour"):
        refine_to.refine(settings, stream, first, last, spark, "test")


def silver_rows(settings: Settings) -> list[dict]:
    table = refine_to.silver(settings, STREAM)
    return Lake(settings).query(table.uri, "select event_id, value from t order by 1").to_pylist()


def mended(letter: Letter) -> bytes:
    return json.dumps(measure("a", 1.0, HOUR) | {"was": str(letter.position)}).encode()


def run_chain(settings: Settings) -> None:
    for first, last in partitions.contiguous(pending(settings), "hour"):
        materialize(CHAIN, first, last)


def killed_before(owner: object, name: str, settings: Settings) -> None:
    """A replay that is killed at a call."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(owner, name, die)
        with pytest.raises(InterruptedError):
            again.replay(settings, STREAM, "killed")


def die(*_: object) -> None:
    raise InterruptedError("killed")
