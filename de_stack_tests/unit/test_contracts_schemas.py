"""A record in other languages. Belongs here: small contracts and what they become."""

from datetime import date, datetime
from typing import Any

import jsonschema
import pyarrow as pa
import pytest

from de_stack.contracts import Field, load_all
from de_stack.contracts.schemas import catalogue_columns, json_schema, spark_ddl, spark_type
from de_stack_tests.streams import stream

FIELDS = (
    Field("id", ("body", "id"), "string", required=True, min_length=1, max_length=9, pattern="^a"),
    Field("n", ("body", "n"), "integer", minimum=0, description="How many.", unit="pieces"),
    Field("speed", ("body", "motor", "speed"), "number", maximum=9.5),
    Field("kind", ("kind",), "string", allowed=("a", "b")),
    Field("ok", ("flags", "ok"), "boolean"),
    Field("day", ("day",), "date", required=True),
)
SMALL = stream(*FIELDS)


def test_spark_gets_every_field_quoted_and_in_order() -> None:
    assert spark_ddl(SMALL) == (
        "`id` string, `n` bigint, `speed` double, `kind` string, `ok` boolean, `day` date, "
        "`at` timestamp"
    )


def test_the_catalogue_tells_the_unit() -> None:
    columns = {name: (kind, text) for name, kind, text in catalogue_columns(SMALL)}
    assert columns["n"] == ("bigint", "How many. [pieces]")
    assert columns["id"] == ("string", "")
    assert list(columns) == [f.name for f in SMALL.fields]


def test_json_schema_follows_the_message_and_not_the_table() -> None:
    found = json_schema(SMALL)
    assert found["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert (found["title"], found["type"]) == ("lab.things", "object")
    # What holds a required field is required itself; what may be missing may be null.
    assert found["required"] == ["body", "day", "at"]
    body = found["properties"]["body"]
    assert (body["type"], body["required"]) == ("object", ["id"])
    assert body["properties"]["id"] == {
        "type": "string",
        "minLength": 1,
        "maxLength": 9,
        "pattern": "^a",
    }
    assert body["properties"]["n"] == {
        "type": ["integer", "null"],
        "description": "How many.",
        "minimum": 0,
        "maximum": 2**63 - 1,
    }
    assert body["properties"]["motor"]["type"] == ["object", "null"]
    assert body["properties"]["motor"]["properties"]["speed"]["maximum"] == 9.5
    assert found["properties"]["kind"]["enum"] == ["a", "b", None]
    assert found["properties"]["flags"]["required"] == []
    assert found["properties"]["day"] == {"type": "string", "format": "date"}
    assert found["properties"]["at"] == {"type": "string", "format": "date-time"}


def test_every_contract_in_the_tree_has_a_valid_json_schema() -> None:
    for contract in load_all().values():
        jsonschema.Draft202012Validator.check_schema(json_schema(contract))


@pytest.mark.parametrize(
    ("kind", "expected", "sample"),
    [
        ("string", "string", "x"),
        ("integer", "bigint", 2**63 - 1),
        ("number", "double", 1.7976931348623157e308),
        ("boolean", "boolean", True),
        ("timestamp", "timestamp", datetime(9999, 12, 31, 23, 59, 59, 999_999)),  # noqa: DTZ001
        ("date", "date", date(1, 1, 1)),
    ],
)
def test_a_type_of_the_contract_has_room_for_its_values(
    kind: Any, expected: str, sample: Any
) -> None:
    assert spark_type(Field("x", ("x",), kind)) == expected
    arrow = {"bigint": pa.int64(), "double": pa.float64(), "timestamp": pa.timestamp("us")}
    array = pa.array([sample], arrow.get(expected))
    assert array.to_pylist() == [sample]
