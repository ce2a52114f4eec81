"""Columns that a table lacks. Belongs here: reading DDL; nothing that needs Spark."""

from de_stack.flow.bronze import bronze_ddl
from de_stack.flow.widen import columns
from de_stack_tests.streams import AT, Field, stream


def test_a_ddl_is_read_with_its_structs_and_not_into_its_arrays() -> None:
    things = stream(Field("topic", ("topic",), "string"), Field("size", ("size",), "number"))
    found = dict(columns(bronze_ddl(things)))
    assert found["topic"] == "STRING"
    assert found["headers"] == "ARRAY<STRUCT<key: STRING, value: BINARY>>"
    assert {name: kind for name, kind in found.items() if name.startswith("record.")} == {
        "record.topic": "string",
        "record.size": "double",
        f"record.{AT.name}": "timestamp",
    }
    assert "headers.key" not in found
    assert list(columns("")) == []
    assert list(columns("`a` DECIMAL(10,2), `b` STRUCT<`c`: bigint>")) == [
        ("a", "DECIMAL(10,2)"),
        ("b", "STRUCT<`c`: bigint>"),
        ("b.c", "bigint"),
    ]
