"""Many messages at once. Belongs here: that each comes out as the decoder has it alone."""

import json
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from de_stack.contracts import Field, Stream, load_stream
from de_stack.contracts.columns import columns_for
from de_stack.contracts.decode import decoder_for
from de_stack_tests.streams import stream
from de_stack_tests.unit import test_contracts_decode as cases

NOW = cases.NOW
NESTED = stream(
    Field("place", ("where", "place"), "string", required=True),
    Field("n", ("where", "n"), "integer"),
    Field("day", ("day",), "date"),
    Field("seen", ("seen",), "timestamp"),
    Field("ok", ("ok",), "boolean"),
)
OF_NESTED = {
    "where": {"place": "a", "n": 1},
    "day": "2026-05-01",
    "seen": "2026-04-30T10:00:00+02:00",
    "ok": True,
    "at": "2026-04-30T10:00:00Z",
}


def same(contract: Stream, messages: list[bytes | None], received: datetime = NOW) -> None:
    """All at once, in a slice of a longer array, and one by one: the same."""
    one = decoder_for(contract)
    longer = pa.array([b"not ours", *messages, b"nor this"], pa.binary())
    times = pa.array([received] * len(messages), pa.timestamp("us", "UTC"))
    found = columns_for(contract)(longer.slice(1, len(messages)), times)
    expected = [one(m, received) for m in messages]
    assert found.error.to_pylist() == [e.error for e in expected]
    assert found.record.to_pylist() == [e.record for e in expected]
    assert found.event_time.to_pylist() == [
        e.record and e.record[contract.event_time] for e in expected
    ]


BAD = [message for _, message, _, _ in cases.BAD]


@pytest.mark.parametrize("message", BAD)
def test_a_bad_message_alone_and_among_good_ones_is_refused_with_its_reason(
    message: bytes | None,
) -> None:
    same(cases.MEASURES, [message])
    same(cases.MEASURES, [cases.GOOD, message, cases.GOOD])
    same(cases.MEASURES, [message, message])


def test_all_bad_messages_together_take_nothing_from_each_other() -> None:
    mixed = [*BAD, *[cases.GOOD] * len(BAD)]
    random.Random(7).shuffle(mixed)
    same(cases.MEASURES, mixed)
    same(cases.MEASURES, [])


def test_two_halves_of_a_message_are_not_one() -> None:
    for at in range(1, len(cases.GOOD)):
        same(cases.MEASURES, [cases.GOOD[:at], cases.GOOD[at:], cases.GOOD * 2])


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"where": None},
        {"where": {"place": "a"}},
        {"where": {"place": "place", "n": None}},
        {"day": None, "ok": None, "seen": None},
        {"seen": "0001-01-01T00:00:00+10:00"},
        {"seen": "9999-12-31T23:59:59-10:00"},
        {"at": "0001-01-01T00:00:00+10:00"},
        {"at": "9999-12-31T23:59:59-10:00"},
        {"at": (NOW + NESTED.max_future).isoformat()},
        {"at": (NOW + NESTED.max_future + timedelta(microseconds=1)).isoformat()},
        {"at": NESTED.history_start.isoformat()},
        {"at": (NESTED.history_start - timedelta(microseconds=1)).isoformat()},
        {"unknown": "ok", "day": "2026-02-29"},
        {"unknown": "größe"},
        {"unknown": "x" * 300, "more": [[[]]] * 60},
        {"unknown": json.loads("[" * 101 + "]" * 101)},
    ],
)
def test_objects_in_objects_and_fields_that_are_not_there(message: dict[str, Any]) -> None:
    raw = [json.dumps(m, ensure_ascii=False).encode() for m in (OF_NESTED, OF_NESTED | message)]
    same(NESTED, raw)
    same(NESTED, raw[1:])


def test_a_key_that_stands_twice_is_found_where_another_message_has_it_not() -> None:
    # Counted over all messages, the optional key is there as often as messages are.
    once, never = (json.dumps(m).encode() for m in (OF_NESTED, {**OF_NESTED, "ok": None}))
    twice = once.replace(b'"ok": true', b'"ok": true, "ok": true')
    absent = once.replace(b', "ok": true', b"")
    same(NESTED, [twice, absent])
    same(NESTED, [twice, never, absent])
    in_object = once.replace(b'"n": 1', b'"n": 1, "place": "b"')
    without = once.replace(b'"place": "a"', b'"place": null')
    same(NESTED, [in_object, without, once])


EDITS = [b'"metric"', b'"value":1', b"\\u0000", b"\\n", b"\xff", b"}{", b",", b'"', b"[[", b"\n"]


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(EDITS), st.integers(0, len(cases.GOOD)), st.booleans()),
        max_size=6,
    )
)
def test_whatever_is_put_into_good_messages(edits: list[tuple[bytes, int, bool]]) -> None:
    changed = [
        cases.GOOD[:at] + edit + cases.GOOD[at + len(edit) * replace :]
        for edit, at, replace in edits
    ]
    same(load_stream("telemetry.measures"), [cases.GOOD, *changed, cases.GOOD], datetime.now(UTC))
