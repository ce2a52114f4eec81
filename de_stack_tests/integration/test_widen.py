"""A contract that gains an optional field, on real services: tables get its column by landing."""

import json
from collections.abc import Callable
from dataclasses import replace

from pyspark.sql import SparkSession

from de_stack.contracts import Field, load_stream
from de_stack.flow import commits, land, reparse
from de_stack.flow import refine as refine_to
from de_stack.flow.bronze import bronze
from de_stack.flow.ledger import Ledger
from de_stack.flow.ledger_check import check
from de_stack.flow.widen import widen
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import (
    HOUR,
    measure,
    produce,
    this_hour,
)

STREAM = load_stream("telemetry.measures")
# Between the others, and called as a column of every bronze table is.
WIDER = replace(
    STREAM,
    version="1.2.0",
    fields=(*STREAM.fields[:1], Field("topic", ("topic",), "string"), *STREAM.fields[1:]),
)


def test_landing_refining_and_reparsing_go_on_with_a_field_that_the_contract_gained(
    settings: Settings,
    spark: Callable[[], SparkSession],
) -> None:
    hour, table, lake = this_hour() - 2 * HOUR, bronze(settings, WIDER), Lake(settings)

    def send(event_id: str, **more: str) -> None:
        message = measure("a", 1.0, hour) | more
        produce(settings, [json.dumps(message).encode()], [event_id])

    def silver() -> list[tuple]:
        refine_to.refine(settings, WIDER, hour, hour, spark, "test")
        place = refine_to.silver(settings, WIDER).uri
        rows = lake.query(place, "select event_id, topic, value from t order by 1").to_pylist()
        return [(r["event_id"], r["topic"], r["value"]) for r in rows]

    send("old", topic="news")
    send("older")
    land.land(settings, STREAM, spark, "test")
    refine_to.refine(settings, STREAM, hour, hour, spark, "test")
    before = lake.version(table.uri)
    assert before is not None

    send("new", topic="sport")
    send("without")
    land.land(settings, WIDER, spark, "test")
    assert silver() == [
        ("new", "sport", 1.0),
        ("old", None, 1.0),
        ("older", None, 1.0),
        ("without", None, 1.0),
    ]
    added, *_ = lake.commits_after(table.uri, before)
    assert (added.metadata or {})["kind"] == "maintain"
    assert (added.metadata or {})["added"] == ["record.topic"]
    assert widen(settings, spark, table, "again") == []

    # What landed before holds the field as it came: it is read again, and nothing else is.
    (day,) = reparse.reparse(settings, WIDER, spark, "test")
    assert (day.rows, day.changed) == (4, 1)
    (day,) = reparse.reparse(settings, WIDER, spark, "test")
    assert day.changed == 0
    assert ("old", "news", 1.0) in silver()
    commits.reconcile(lake, Ledger(settings), table)
    assert [text for one in check(settings) for text in one.disagreements] == []
