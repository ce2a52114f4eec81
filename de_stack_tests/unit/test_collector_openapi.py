"""The API's description: it is OpenAPI, says what the door takes, and in 3.0 as well."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import jsonschema
import pytest

from de_stack.contracts import Field, load_all, load_stream
from de_stack.contracts.decode import decoder_for
from de_stack.sources.collector.api_schemas import as_3_0
from de_stack.sources.collector.openapi import document
from de_stack.sources.collector.receive import Limits
from de_stack_tests.streams import stream

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
NESTED = stream(Field("n", ("a", "b"), "integer", required=True), Field("s", ("s",), "string"))
DOCUMENT = document(load_all() | {"lab.things": NESTED}, Limits(), NOW)
GOOD = {"source_id": "a", "metric": "m", "value": 1}


def taken(item: Any) -> bool:
    """What the description says of an item of measures."""
    schema = DOCUMENT["components"]["schemas"]["telemetry.measures.item"]
    kind = jsonschema.Draft202012Validator
    return kind(schema, format_checker=kind.FORMAT_CHECKER).is_valid(item)


def test_each_stream_has_a_path_with_its_answers() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    for name in (*load_all(), "lab.things"):
        post = DOCUMENT["paths"][f"/v1/streams/{name}"]["post"]
        assert {"202", "207", "400", "408", "413", "415", "422", "503"} == post["responses"].keys()
        assert "Retry-After" in post["responses"]["503"]["headers"]
        assert len(post["requestBody"]["content"]) == 4 + (name == "stocks.ticks")
    # Every reference leads somewhere.
    for part in json.dumps(DOCUMENT).split('"$ref": "#/components/schemas/')[1:]:
        assert part.partition('"')[0] in DOCUMENT["components"]["schemas"]


@pytest.mark.parametrize(
    ("item", "expected"),
    [
        (GOOD | {"measured_at": "2026-03-01T11:00:00Z"}, True),
        (GOOD | {"measured_at": 1772362800.5}, True),
        (GOOD | {"measured_at": True}, False),
        (GOOD | {"measured_at": 1772362800, "value": "hot"}, False),
        ({"body": {"timestamp": 1772362800, "message": {"metric": "m", "value": 15}}}, True),
        ({"body": {"timestamp": 1772362800, "message": {"metric": "m"}}}, False),
        (GOOD, False),
    ],
)
def test_an_item_is_described_as_the_door_takes_it(item: Any, expected: bool) -> None:
    assert taken(item) == expected


def test_the_examples_are_what_is_described() -> None:
    post = DOCUMENT["paths"]["/v1/streams/telemetry.measures"]["post"]
    examples = post["requestBody"]["content"]["application/json"]["examples"]
    assert examples.keys() == {"one", "several", "envelope logstash"}
    assert taken(examples["one"]["value"])
    assert taken(examples["envelope logstash"]["value"])
    nested = DOCUMENT["paths"]["/v1/streams/lab.things"]["post"]["requestBody"]["content"]
    one = nested["application/json"]["examples"]["one"]["value"]
    assert one == {"a": {"b": 1}, "s": "s", "at": "2026-03-01T12:00:00Z"}


def test_the_example_of_a_line_is_a_trade() -> None:
    post = DOCUMENT["paths"]["/v1/streams/stocks.ticks"]["post"]
    line = post["requestBody"]["content"]["text/csv"]["example"].encode()
    found = decoder_for(load_stream("stocks.ticks"))(line, NOW)
    assert found.record is not None
    assert (found.record["trade_type"], found.record["event_time"]) == ("BUY", NOW)


def test_in_3_0_there_is_no_word_that_it_does_not_know() -> None:
    old = as_3_0(DOCUMENT)
    assert old["openapi"] == "3.0.3"

    def look(node: Any) -> None:
        if isinstance(node, list):
            for n in node:
                look(n)
        elif isinstance(node, dict):
            assert not isinstance(node.get("type"), list)
            assert "$schema" not in node
            assert "const" not in node
            look(list(node.values()))

    look(old)
    field = old["components"]["schemas"]["Result"]["properties"]["field"]
    assert field == {"type": "string", "nullable": True}
    assert DOCUMENT["openapi"] == "3.1.0"
