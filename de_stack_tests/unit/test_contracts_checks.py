"""Promises as SQL. Belongs here: rows that keep or break them, asked of a real engine in memory."""

from typing import Any

import duckdb
import pyarrow as pa
import pytest

from de_stack.contracts import Field, load_all
from de_stack.contracts.checks import violations
from de_stack_tests.streams import stream

SMALL = stream(
    Field("id", ("id",), "string", required=True, min_length=2, max_length=3),
    Field("n", ("n",), "integer", minimum=-3, maximum=3),
    Field("x", ("x",), "number", minimum=-1e12, maximum=1234567.25),
    Field("kind", ("kind",), "string", allowed=("it's", 'say "b"')),
)
GOOD: dict[str, Any] = {"id": "ab", "n": 1, "x": 1.0, "kind": "it's", "at": 0}
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("n", pa.int64()),
        ("x", pa.float64()),
        ("kind", pa.string()),
        ("at", pa.int64()),
    ]
)


def broken(row: dict[str, Any]) -> list[str]:
    """Names of the promises that a row breaks."""
    t = pa.Table.from_pylist([{**GOOD, **row}], SCHEMA)  # noqa: F841 - duckdb finds it by its name
    promises = violations(SMALL)
    listed = ", ".join(f"count(*) filter (where {c})" for c in promises.values())
    (counts,) = duckdb.connect().execute(f"select {listed} from t").fetchall()
    return [name for name, count in zip(promises, counts, strict=True) if count]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({}, []),
        ({"n": None, "x": None, "kind": None}, []),
        ({"id": None}, ["id is required"]),
        ({"at": None}, ["at is required"]),
        ({"id": "a"}, ["id length >= 2"]),
        ({"id": "äöü"}, []),
        ({"id": "abcd"}, ["id length <= 3"]),
        ({"n": -3}, []),
        ({"n": 3}, []),
        ({"n": -4}, ["n >= -3"]),
        ({"n": 4}, ["n <= 3"]),
        ({"x": -1e12}, []),
        ({"x": -1.1e12}, ["x >= -1000000000000"]),
        ({"x": 1234567.5}, ["x <= 1234567.25"]),
        ({"kind": 'say "b"'}, []),
        ({"kind": "its"}, ["kind is an allowed value"]),
        ({"id": None, "n": 9}, ["id is required", "n <= 3"]),
    ],
)
def test_a_row_that_breaks_a_promise_is_found_by_its_name(
    row: dict[str, Any], expected: list[str]
) -> None:
    assert broken(row) == expected


def test_every_promise_of_a_field_has_a_name_of_its_own() -> None:
    promises = sum(
        f.required
        + sum(v is not None for v in (f.minimum, f.maximum, f.min_length, f.max_length))
        + bool(f.allowed)
        for f in SMALL.fields
    )
    assert len(violations(SMALL)) == promises


def test_the_contracts_in_the_tree_promise_something() -> None:
    for contract in load_all().values():
        assert f"{contract.event_time} is required" in violations(contract)
