"""Taking bodies apart: any bytes give items or a reason, and good items keep their bytes."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_stack.sources.collector.answer import Result, answer
from de_stack.sources.collector.body import (
    CONTENT_TYPES,
    EVENT_BATCH,
    JSON,
    MAX_ID,
    NDJSON,
    BodyError,
    TooMany,
    media_type,
    read_body,
)
from de_stack.sources.collector.check import message_key

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
BLANK = st.sampled_from([b"", b" ", b"\n", b"\t\r\n"])


@given(st.lists(st.tuples(VALUES, BLANK, BLANK), max_size=6), BLANK)
def test_an_array_is_cut_where_its_elements_end(parts: list, outside: bytes) -> None:
    raw = [json.dumps(value).encode() for value, _, _ in parts]
    body = b",".join(a + r + b for r, (_, a, b) in zip(raw, parts, strict=True))
    items, is_batch = read_body(JSON, {}, outside + b"[" + body + b"]" + outside)
    assert is_batch
    assert [i.data for i in items] == raw


@given(st.lists(VALUES, max_size=6))
def test_lines_are_cut_at_line_ends_only(values: list) -> None:
    raw = [json.dumps(value, ensure_ascii=False).encode() for value in values]
    items, _ = read_body(NDJSON, {}, b"\n".join(raw))
    assert [i.data for i in items] == raw


@given(st.lists(st.tuples(st.text(min_size=1, max_size=MAX_ID), VALUES), max_size=4))
def test_data_of_cloud_events_is_taken_as_it_stands(events: list) -> None:
    raw = [json.dumps(value, indent=1).encode() for _, value in events]
    body = b",".join(
        b'{"id":%s,"specversion":"1.0","data":%s,"ext":1}' % (json.dumps(i).encode(), r)
        for (i, _), r in zip(events, raw, strict=True)
    )
    items, _ = read_body(EVENT_BATCH, {}, b"[" + body + b"]")
    assert [(i.id, i.data) for i in items] == [
        (i, r) for (i, _), r in zip(events, raw, strict=True)
    ]


@given(st.binary(max_size=60), st.sampled_from(CONTENT_TYPES))
def test_no_body_makes_it_fail_in_any_other_way(body: bytes, media: str) -> None:
    try:
        items, _ = read_body(media, {}, body)
    except BodyError:
        return
    for item in items:
        item.id.encode()


@pytest.mark.parametrize(
    "event",
    [
        b'{"id":1,"data":1}',
        b'{"id":"a"}',
        b"[]",
        b'{"data":1}',
        b'{"id":"a","data":1,"specversion":"0.3"}',
        b'{"id":"a","data":1,"specversion":1}',
    ],
)
def test_what_is_no_cloud_event_is_refused_alone(event: bytes) -> None:
    good = b'{"id":"g","data":{}}'
    items, _ = read_body(EVENT_BATCH, {}, b"[%s,%s]" % (event, good))
    assert [bool(i.refusal) for i in items] == [True, False]


def test_depth_that_would_break_a_parser_is_a_reason_not_a_crash() -> None:
    with pytest.raises(BodyError):
        read_body(JSON, {}, b"[" * 100_000)


def test_a_media_type_is_read_without_its_parameters() -> None:
    assert media_type("Application/JSON ; charset=UTF-8") == JSON


@pytest.mark.parametrize(
    ("statuses", "status"),
    [([], 202), ([202, 202], 202), ([202, 422], 207), ([422, 422], 207), ([202, 503], 207),
     ([503, 503], 503), ([422, 503], 503)],
)  # fmt: skip
def test_a_batch_is_503_only_when_nothing_of_it_was_accepted(statuses: list, status: int) -> None:
    assert answer([Result("i", s) for s in statuses], is_batch=True).status == status


def test_the_key_is_the_text_of_one_field_and_an_array_of_several() -> None:
    assert message_key(("a",), {"a": 'ö"'}) == 'ö"'.encode()
    assert message_key(("a",), {"a": 7}) == b"7"
    assert message_key(("a", "b"), {"a": "x", "b": 7}) == b'["x",7]'


@pytest.mark.parametrize(
    ("media", "body"),
    [
        (JSON, b"[0,0,0,0]"),
        (NDJSON, b"0\n0\n0\n\n0"),
        (NDJSON, b"\n" * 9),
        (EVENT_BATCH, b"[{},{},{},{}]"),
    ],
)
def test_more_items_than_a_request_may_have_are_counted_and_nothing_is_made_of_them(
    media: str, body: bytes
) -> None:
    def made(*_: object) -> str:
        raise AssertionError("an id was made")

    with pytest.raises(TooMany, match="at most 3"):
        read_body(media, {}, body, made, 3)
