"""Other forms of an item: times, envelopes. What needs nothing stays as it is, byte for byte."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_stack.contracts import Envelope, Field, load_stream
from de_stack.contracts.decode import decoder_for
from de_stack.contracts.normalise import normaliser_for
from de_stack.contracts.times import rfc3339
from de_stack.sources.collector.body import Item
from de_stack.sources.collector.check import Check
from de_stack_tests.streams import stream

MEASURES = load_stream("telemetry.measures")
NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
CHECK = Check(MEASURES, decoder_for(MEASURES), normaliser_for(MEASURES))
HOUR = "2026-03-01T11:00:00Z"
EPOCH = int(datetime(2026, 3, 1, 11, tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("raw", "time"),
    [
        ("1772362800", "2026-03-01T11:00:00Z"),
        ("1772362800.5", "2026-03-01T11:00:00.500000Z"),
        ("1.7723628e9", "2026-03-01T11:00:00Z"),
        ("1772362800.0000005", "2026-03-01T11:00:00Z"),
        ("1772362800.0000015", "2026-03-01T11:00:00.000002Z"),
        ("1772362800123", "2026-03-01T11:00:00.123000Z"),
        ("1772362800123.4567", "2026-03-01T11:00:00.123457Z"),
        ("99999999999", "5138-11-16T09:46:39Z"),
        ("100000000000", "1973-03-03T09:46:40Z"),
        ("-1", "1969-12-31T23:59:59Z"),
        ("-100000000000", "1966-10-31T14:13:20Z"),
        ("0", "1970-01-01T00:00:00Z"),
        ('"2026-03-01T11:00:00"', "2026-03-01T11:00:00Z"),
        ('"2026-03-01 11:00:00"', "2026-03-01T11:00:00Z"),
        ('"2026-03-01 11:00"', "2026-03-01T11:00:00Z"),
        ('"2026-03-01 11:00:00.123456789"', "2026-03-01T11:00:00.123457Z"),
        ('"2026-03-01T11:00:00,5"', "2026-03-01T11:00:00.500000Z"),
        ('"2026-03-01T11:59:59.9999999"', "2026-03-01T12:00:00Z"),
        ('"2026-03-01T13:00:00+02"', "2026-03-01T11:00:00Z"),
        ('"2026-03-01T13:00:00+0200"', None),
        ('"2026-03-01 13:00:00 +02:00"', "2026-03-01T11:00:00Z"),
        ('"20260301T110000Z"', "2026-03-01T11:00:00Z"),
        ('"2026-03-01T11:00:00\\u005a "', None),
        ('"2026-03-01T11:00:00Z"', None),
        ('"2026-03-01T13:00:00.5+02:00"', None),
        # No times: the strict decoder says so.
        ('"2026-03-01"', None),
        ('"2026-02-30T11:00:00"', None),
        ('"2026-03-01T25:00:00"', None),
        ('"yesterday"', None),
        ('"1772362800"', None),
        ("1e99", None),
        ("1e999999999", None),
        ("1" * 41, None),
        ("253402300800000", None),
        ("NaN", None),
        ("Infinity", None),
        ("true", None),
        ("null", None),
        ("[1772362800]", None),
        ("01772362800.", None),
    ],
)
def test_a_time_is_read_as_people_write_it(raw: str, time: str | None) -> None:
    assert rfc3339(raw) == (None if time is None else json.dumps(time))


@given(st.integers(10**11 * 1000, 7 * 10**15))
def test_seconds_milliseconds_and_text_of_a_moment_are_the_same_time(exact: int) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=exact)
    seconds, rest = divmod(exact, 10**6)
    wanted = json.dumps(moment.isoformat().replace("+00:00", "Z"))
    assert rfc3339(f"{seconds}.{rest:06}") == wanted
    assert rfc3339(f"{exact // 1000}.{exact % 1000:03}") == wanted
    assert rfc3339(json.dumps(moment.replace(tzinfo=None).isoformat(sep=" "))) == wanted


@given(st.text() | st.floats().map(repr) | st.integers().map(str))
def test_no_value_makes_it_fail(raw: str) -> None:
    for text in (raw, json.dumps(raw)):
        found = rfc3339(text)
        if found is not None:
            moment = datetime.fromisoformat(json.loads(found))
            assert moment.utcoffset() == timedelta(0)


def test_only_the_time_is_rewritten_and_all_around_it_stays_byte_for_byte() -> None:
    item = (
        b' { "value" : 1.50e0,"extra":[1 ,2 , {"measured_at":7}], "metric":"h\\u00e4t" ,\n'
        b'"source_id":"\xc3\xb6fen","big":123456789012345678901234567890, '
        b'"measured_\\u0061t" :1772362800.25 , "twice":1,"twice":2}\r\n'
    )
    message = CHECK(Item("i", item), NOW).message
    assert message is not None
    assert message.value == item.replace(b"1772362800.25", b'"2026-03-01T11:00:00.250000Z"')
    assert dict(message.headers)["ce_time"] == b"2026-03-01T11:00:00.250000+00:00"


def test_what_holds_the_contract_is_not_looked_at_again() -> None:
    def never(_: bytes) -> bytes:
        raise AssertionError

    good = b'{"source_id":"a","metric":"b","value":1,"measured_at":"2026-03-01 11:00:00Z"}'
    message = Check(MEASURES, decoder_for(MEASURES), never)(Item("i", good), NOW).message
    assert message is not None
    assert message.value is good


@pytest.mark.parametrize(
    ("item", "code", "field"),
    [
        (b'{"measured_at":1772362800,"source_id":"a","metric":"b"}', "missing", "value"),
        (b'{"measured_at":1772362800,"measured_at":1,"source_id":"a","metric":"b","value":1}',)
        + ("duplicate_key", "measured_at"),
        (b'{"value":1,"value":2,"measured_at":1772362800,"source_id":"a","metric":"b"}',)
        + ("duplicate_key", "value"),
        (b'{"measured_at":1772362800,"source_id":"a","metric":"b","value":1}x', "malformed", None),
        (b'{"measured_at":1772362800,"source_id":"a","metric":"b","value":NaN}', "malformed", None),
        (b'{"measured_at":01772362800,"source_id":"a","metric":"b","value":1}', "malformed", None),
        (b'{"measured_at":1700000000,"source_id":"a","metric":"b","value":1}',)
        + ("before_history", "measured_at"),
        (b'{"measured_at":true,"source_id":"a","metric":"b","value":1}',)
        + ("wrong_type", "measured_at"),
        (b'{"body":{"timestamp":1772362800,"message":{"metric":"m","value":"hot"}}}',)
        + ("wrong_type", "value"),
        (b'{"body":{"timestamp":1772362800,"message":{"metric":"m"}}}', "missing", "value"),
        (b'{"body":{"timestamp":1772362800,"message":{"metric":"m","value":1,"value":2}}}',)
        + ("duplicate_key", "value"),
        (b'{"body":{"timestamp":1772362800,"message":[]}}', "missing", "metric"),
        # No time at the envelope's place: it is none.
        (b'{"body":{"message":{"metric":"m","value":1}}}', "missing", "source_id"),
        (b'{"body":7}', "missing", "source_id"),
    ],
)
def test_what_is_still_wrong_is_refused_with_the_bytes_that_came(
    item: bytes, code: str, field: str | None
) -> None:
    found = CHECK(Item("i", item), NOW)
    assert found.refusal
    assert (found.refusal.code, found.refusal.field) == (code, field)
    assert found.message
    assert found.message.value == item


def test_the_original_envelope_becomes_a_measure() -> None:
    item = b'{"body":{"timestamp":%d,"message":{"metric":"TELEMETRY_MEASURE","value":15}}}' % EPOCH
    message = CHECK(Item("i", item), NOW).message
    assert message is not None
    assert message.value == (
        b'{"source_id":"http","metric":"TELEMETRY_MEASURE","value":15,'
        b'"measured_at":"2026-03-01T11:00:00Z"}'
    )
    assert message.key == b"http"


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ('"10.0.0.7"', "10.0.0.7"),
        ('{"ip":"10.0.0.8"}', "10.0.0.8"),
        ('{"ip":"10.0.0.8","name":"oven"}', "oven"),
        ("null", "http"),
    ],
)
def test_what_a_transport_has_added_does_not_come_along_but_for_the_host(
    host: str, source: str
) -> None:
    item = (
        b'{"@version":"1","@timestamp":"2026-03-01T11:59:00Z","tags":["a"],"host":HOST,'
        b'"headers":{"http_user_agent":"curl"},"body":{"timestamp":1772362800.5,'
        b'"message":{"metric":"m","value":1.50,"more":1}}}'
    ).replace(b"HOST", host.encode())
    message = CHECK(Item("i", item), NOW).message
    assert message is not None
    rest = b'","metric":"m","value":1.50,"measured_at":"2026-03-01T11:00:00.500000Z"}'
    assert message.value == b'{"source_id":"' + source.encode() + rest
    assert [name for name, _ in message.headers] == [
        "ce_specversion", "ce_id", "ce_source", "ce_type", "ce_time", "content-type",
    ]  # fmt: skip


def test_an_item_with_its_own_event_time_is_in_no_envelope() -> None:
    item = (
        b'{"source_id":"a","metric":"b","value":1,"measured_at":1772362800,'
        b'"body":{"timestamp":1,"message":{"metric":"m","value":7}}}'
    )
    message = CHECK(Item("i", item), NOW).message
    assert message is not None
    assert message.value == item.replace(b"1772362800", b'"2026-03-01T11:00:00Z"', 1)


def test_a_record_with_nested_places_comes_out_of_its_envelope_nested() -> None:
    fields = (
        Field("size", ("thing", "size"), "number", required=True),
        Field("name", ("thing", "name"), "string"),
    )
    forms = (
        Envelope("first", {"at": (("x", "t"),), "size": (("x", "s"),)}, {}),
        Envelope("second", {"at": (("t",),), "size": (("s",),)}, {"name": 'n"'}),
    )
    normalise = normaliser_for(replace(stream(*fields), envelopes=forms))
    at = json.dumps(HOUR).encode()
    assert normalise(b'{"x":{"t":%d,"s":1}}' % EPOCH) == b'{"thing":{"size":1},"at":%s}' % at
    named = b'{"thing":{"size":2.0,"name":"n\\""},"at":%s}' % at
    assert normalise(b'{"s": 2.0 ,"t":"2026-03-01 11:00:00"}') == named
    assert normalise(b'{"s":2}') is None


@given(st.binary(max_size=80))
def test_no_item_makes_the_check_fail(data: bytes) -> None:
    for item in (data, b'{"body":{"timestamp":%s}}' % data, b'{"measured_at":%s}' % data):
        found = CHECK(Item("i", item), NOW)
        assert found.message
        assert found.refusal
