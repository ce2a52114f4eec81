"""The strict decoder. Belongs here: tables of good and bad messages, what holds for all of them."""

import json
import math
import sys
import threading
from datetime import UTC, date, datetime
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from de_stack.contracts import Field, load_stream
from de_stack.contracts.decode import Decoded, decoder_for
from de_stack.contracts.schemas import json_schema
from de_stack.contracts.strict import MAX_DEPTH
from de_stack_tests.streams import stream

NOW = datetime(2026, 5, 1, tzinfo=UTC)
MEASURES = load_stream("telemetry.measures")
GOOD = b'{"source_id":"a","metric":"m","value":1.5,"measured_at":"2026-04-30T10:00:00Z"}'
DECODE = decoder_for(MEASURES)


def changed(**fields: Any) -> bytes:
    """The good message with other values."""
    return json.dumps({**json.loads(GOOD), **fields}).encode()


def without(name: str) -> bytes:
    return json.dumps({k: v for k, v in json.loads(GOOD).items() if k != name}).encode()


def value(text: str) -> bytes:
    return GOOD.replace(b"1.5", text.encode())


def unknown(text: str | bytes, name: str = "z") -> bytes:
    """The good message with an unknown field before the others."""
    raw = text if isinstance(text, bytes) else text.encode()
    return b'{"%s":' % name.encode() + raw + b"," + GOOD[1:]


def deep(levels: int) -> str:
    return "[" * levels + "]" * levels


BAD: list[tuple[str, bytes | None, str, str | None]] = [
    # no message
    ("tombstone", None, "tombstone", None),
    ("empty", b"", "malformed", None),
    ("blanks only", b" \n", "malformed", None),
    ("truncated", GOOD[:-1], "malformed", None),
    ("trailing bytes", GOOD + b"x", "malformed", None),
    ("two messages", GOOD + GOOD, "malformed", None),
    ("trailing comma", GOOD[:-1] + b",}", "malformed", None),
    ("byte order mark", b"\xef\xbb\xbf" + GOOD, "malformed", None),
    ("UTF-16", GOOD.decode().encode("utf-16"), "malformed", None),
    ("UTF-16 without mark", GOOD.decode().encode("utf-16-le"), "malformed", None),
    # not UTF-8
    ("invalid UTF-8", GOOD.replace(b'"a"', b'"\xff"'), "malformed", None),
    ("invalid UTF-8 in an unknown field", unknown(b'"\xff"'), "malformed", None),
    (
        "invalid UTF-8 in an unknown field, escapes elsewhere",
        unknown(b'"\xff"', "z\\n"),
        "malformed",
        None,
    ),
    ("invalid UTF-8 in an unknown name", b'{"\xc3":1,' + GOOD[1:], "malformed", None),
    ("a surrogate as bytes", GOOD.replace(b'"a"', b'"\xed\xa0\x80"'), "malformed", None),
    ("half a surrogate pair", GOOD.replace(b'"a"', b'"\\ud800"'), "malformed", None),
    ("a bare control character", GOOD.replace(b'"a"', b'"\n"'), "malformed", None),
    ("NUL in a text", GOOD.replace(b'"a"', b'"\\u0000"'), "out_of_range", "source_id"),
    # not an object
    ("null", b"null", "wrong_type", None),
    ("array", b"[]", "wrong_type", None),
    ("array of messages", b"[" + GOOD + b"]", "wrong_type", None),
    ("number", b"3", "wrong_type", None),
    ("text", b'"x"', "wrong_type", None),
    # numbers that JSON does not have, or a double does not
    ("NaN", value("NaN"), "malformed", None),
    ("Infinity", value("Infinity"), "malformed", None),
    ("NaN in an unknown field", unknown("NaN"), "malformed", None),
    ("leading zero", value("01.5"), "malformed", None),
    ("1e400", value("1e400"), "out_of_range", "value"),
    ("-1e400", value("-1e400"), "out_of_range", "value"),
    ("300 digits", value("1" * 300), "out_of_range", "value"),
    ("400 digits", value("1" * 400), "out_of_range", "value"),
    ("5000 digits", value("1" * 5000), "out_of_range", "value"),
    # fields
    ("missing field", without("value"), "missing", "value"),
    ("missing time", without("measured_at"), "missing", "measured_at"),
    ("null where required", changed(value=None), "missing", "value"),
    ("number as text", changed(value="1.5"), "wrong_type", "value"),
    ("boolean as number", changed(value=True), "wrong_type", "value"),
    ("text as number", changed(source_id=5), "wrong_type", "source_id"),
    ("object as text", changed(source_id={}), "wrong_type", "source_id"),
    ("empty text", changed(source_id=""), "out_of_range", "source_id"),
    ("long text", changed(source_id="x" * 129), "out_of_range", "source_id"),
    ("above the maximum", changed(value=1.1e12), "out_of_range", "value"),
    ("below the minimum", changed(value=-1.1e12), "out_of_range", "value"),
    # keys
    ("duplicate key", GOOD[:-1] + b',"value":2}', "duplicate_key", "value"),
    ("duplicate key, same value", GOOD[:-1] + b',"value":1.5}', "duplicate_key", "value"),
    ("duplicate key, escaped", GOOD[:-1] + b',"v\\u0061lue":2}', "duplicate_key", "value"),
    (
        "unknown key in another case",
        changed(Value=1)[:-1] + b',"value":1}',
        "duplicate_key",
        "value",
    ),
    # nesting
    ("deep in a known place", value(deep(10_000)), "malformed", None),
    ("deep in an unknown place", unknown(deep(10_000)), "malformed", None),
    ("deep objects", unknown('{"a":' * 10_000 + "1" + "}" * 10_000), "malformed", None),
    ("deep, with escapes", unknown(deep(10_000), "z\\n"), "malformed", None),
    ("one level too deep", unknown(deep(MAX_DEPTH)), "malformed", None),
    ("deep and never closed", b"[" * 10_000, "malformed", None),
    # times
    ("no zone", changed(measured_at="2026-04-30T10:00:00"), "wrong_type", "measured_at"),
    ("no time", changed(measured_at="2026-04-30"), "wrong_type", "measured_at"),
    ("seconds since 1970", changed(measured_at=1777543200), "wrong_type", "measured_at"),
    ("30 February", changed(measured_at="2026-02-30T10:00:00Z"), "wrong_type", "measured_at"),
    ("hour 24", changed(measured_at="2026-04-30T24:00:00Z"), "wrong_type", "measured_at"),
    ("leap second", changed(measured_at="2026-04-30T23:59:60Z"), "wrong_type", "measured_at"),
    ("year 10000", changed(measured_at="10000-01-01T00:00:00Z"), "wrong_type", "measured_at"),
    ("year 0", changed(measured_at="0000-01-01T00:00:00Z"), "wrong_type", "measured_at"),
    ("1970", changed(measured_at="1970-01-01T00:00:00Z"), "before_history", "measured_at"),
    (
        "just before history",
        changed(measured_at="2025-12-31T23:59:59.999999Z"),
        "before_history",
        "measured_at",
    ),
    (
        "year 1 east of Greenwich",
        changed(measured_at="0001-01-01T00:00:00+10:00"),
        "before_history",
        "measured_at",
    ),
    ("2100", changed(measured_at="2100-01-01T00:00:00Z"), "in_future", "measured_at"),
    (
        "year 9999 west of Greenwich",
        changed(measured_at="9999-12-31T23:59:59-10:00"),
        "in_future",
        "measured_at",
    ),
    (
        "just past the allowed skew",
        changed(measured_at="2026-05-01T00:05:00.000001Z"),
        "in_future",
        "measured_at",
    ),
]


@pytest.mark.parametrize(
    ("message", "code", "field"), [b[1:] for b in BAD], ids=[b[0] for b in BAD]
)
def test_a_bad_message_gets_a_code_and_the_field_at_fault(
    message: bytes | None, code: str, field: str | None
) -> None:
    found = DECODE(message, NOW)
    assert (found.code, found.field, found.record) == (code, field, None), found
    assert found.reason
    assert found.error == f"{code}:{field or ''}: {found.reason}"


FINE = [
    ("as it is", GOOD),
    ("blanks around", b" \r\n" + GOOD + b"\t"),
    ("an unknown field", unknown("1")),
    ("an unknown field of 1e400", unknown("1e400")),
    ("an unknown integer of 5000 digits", unknown("1" * 5000)),
    ("the same, with escapes", unknown("1" * 5000, "z\\n")),
    ("as deep as allowed", unknown(deep(MAX_DEPTH - 1))),
    ("many brackets that are not deep", unknown("[" + ",".join(["[]"] * 500) + "]")),
    ("many brackets in a text", unknown('"' + "[{" * 500 + '"')),
    ("many brackets in a text with quotes", unknown('"' + '\\"[' * 500 + '"')),
    ("an unknown key twice", GOOD[:-1] + b',"z":1,"z":2}'),
    ("an unknown key twice, escaped", GOOD[:-1] + b',"z":1,"\\u007a":2}'),
    ("a known name twice in an unknown place", unknown('{"value":1,"value":2}')),
    ("a known name as a value", changed(metric="m", note="value", other="value")),
]


@pytest.mark.parametrize("message", [f[1] for f in FINE], ids=[f[0] for f in FINE])
def test_what_the_contract_does_not_name_decides_nothing(message: bytes) -> None:
    record = DECODE(message, NOW).record
    assert record is not None
    assert (record["source_id"], record["metric"], record["value"]) == ("a", "m", 1.5)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-04-30T10:00:00Z", datetime(2026, 4, 30, 10, tzinfo=UTC)),
        ("2026-04-30t10:00:00z", datetime(2026, 4, 30, 10, tzinfo=UTC)),
        ("2026-04-30 10:00:00Z", datetime(2026, 4, 30, 10, tzinfo=UTC)),
        ("2026-04-30T10:00:00-00:00", datetime(2026, 4, 30, 10, tzinfo=UTC)),
        ("2026-04-30T10:00:00+02:00", datetime(2026, 4, 30, 8, tzinfo=UTC)),
        ("2026-04-30T10:00:00+0200", datetime(2026, 4, 30, 8, tzinfo=UTC)),
        ("2026-04-30T10:00:00.25-09:30", datetime(2026, 4, 30, 19, 30, 0, 250_000, tzinfo=UTC)),
        ("2026-04-30T10:59:59.9999999Z", datetime(2026, 4, 30, 11, tzinfo=UTC)),
        ("2026-01-01T00:00:00Z", MEASURES.history_start),
        ("2026-05-01T00:05:00Z", NOW + MEASURES.max_future),
    ],
)
def test_times_become_utc(text: str, expected: datetime) -> None:
    record = DECODE(changed(measured_at=text), NOW).record
    assert record is not None
    assert record["measured_at"] == expected
    assert record["measured_at"].tzinfo is UTC


def test_lengths_are_counted_in_characters() -> None:
    assert DECODE(changed(source_id="\U0001f600" * 128), NOW).code is None
    assert DECODE(changed(source_id="\U0001f600" * 129), NOW).code == "out_of_range"


TYPES = {
    "integer": [
        ("0", 0),
        (str(2**63 - 1), 2**63 - 1),
        (str(-(2**63)), -(2**63)),
        ("-0", 0),
        (str(2**63), "out_of_range"),
        (str(-(2**63) - 1), "out_of_range"),
        ("1" * 300, "out_of_range"),
        ("1" * 400, "out_of_range"),
        ("1" * 5000, "out_of_range"),
        ("1.0", "wrong_type"),
        ("1e3", "wrong_type"),
        ("1e400", "out_of_range"),
        ("true", "wrong_type"),
        ('"1"', "wrong_type"),
    ],
    "number": [
        ("1", 1.0),
        ("-0.0", 0.0),
        ("1e-400", 0.0),
        (str(2**63), float(2**63)),
        ("1" * 300, float("1" * 300)),
        ("1" * 400, "out_of_range"),
        ("1e400", "out_of_range"),
        ("false", "wrong_type"),
        ('"1"', "wrong_type"),
    ],
    "boolean": [("true", True), ("false", False), ("1", "wrong_type"), ('"true"', "wrong_type")],
    "string": [('""', ""), ('"\\u00e9"', "é"), ("1", "wrong_type"), ("[]", "wrong_type")],
    "date": [
        ('"2026-02-28"', date(2026, 2, 28)),
        ('"9999-12-31"', date(9999, 12, 31)),
        ('"2026-02-29"', "wrong_type"),
        ('"10000-01-01"', "wrong_type"),
        ('"2026-02-28T00:00:00Z"', "wrong_type"),
        ("20260228", "wrong_type"),
    ],
    "timestamp": [
        ('"1970-01-01T00:00:00Z"', datetime(1970, 1, 1, tzinfo=UTC)),
        ('"9999-12-31T23:59:59Z"', datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
        ('"9999-12-31T23:59:59-10:00"', "out_of_range"),
        ('"0001-01-01T00:00:00+10:00"', "out_of_range"),
        ('"2026-01-01T00:00:00"', "wrong_type"),
    ],
}


@pytest.mark.parametrize(
    ("kind", "text", "expected"), [(k, *case) for k, cases in TYPES.items() for case in cases]
)
def test_each_type_takes_its_values_and_no_others(kind: Any, text: str, expected: Any) -> None:
    decode = decoder_for(stream(Field("x", ("x",), kind)))
    found = decode(b'{"x":%s,"at":"2026-04-30T10:00:00Z"}' % text.encode(), NOW)
    if isinstance(expected, str) and kind != "string" or expected == "wrong_type":
        assert (found.code, found.field) == (expected, "x")
    else:
        assert found.record is not None
        assert found.record["x"] == expected
        assert type(found.record["x"]) is type(expected)


LIMITED = stream(
    Field("n", ("n",), "integer", minimum=-3, maximum=3),
    Field("kind", ("kind",), "string", allowed=("it's", "b")),
    Field("code", ("code",), "string", pattern="^got [a-z]+$"),
)


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        ({"n": 3, "kind": "it's", "code": "got x"}, None),
        ({"n": -3}, None),
        ({"n": 4}, "n"),
        ({"n": -4}, "n"),
        ({"kind": "a"}, "kind"),
        ({"kind": ""}, "kind"),
        ({"code": "got X"}, "code"),
        ({"n": None, "kind": None, "code": None}, None),
        ({}, None),
    ],
)
def test_ranges_lists_and_patterns_are_held(fields: dict[str, Any], fault: str | None) -> None:
    message = json.dumps({**fields, "at": "2026-04-30T10:00:00Z"}).encode()
    found = decoder_for(LIMITED)(message, NOW)
    assert (found.code, found.field) == ("out_of_range" if fault else None, fault)


NESTED = stream(
    Field("speed", ("motor", "speed", "rpm"), "number", required=True),
    Field("torque", ("motor", "torque"), "number"),
    Field("site", ("place", "site"), "string"),
    Field("hall", ("place", "hall"), "string"),
)
MOTOR: dict[str, Any] = {"speed": {"rpm": 1.0}, "torque": 2.0}


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ({"motor": MOTOR, "place": {"site": "s", "hall": "h"}}, (1.0, 2.0, "s", "h")),
        ({"motor": MOTOR, "place": {"hall": "h"}}, (1.0, 2.0, None, "h")),
        ({"motor": MOTOR, "place": {}}, (1.0, 2.0, None, None)),
        ({"motor": MOTOR, "place": None}, (1.0, 2.0, None, None)),
        ({"motor": MOTOR}, (1.0, 2.0, None, None)),
        ({"motor": {"speed": {"rpm": 1.0}, "torque": None}}, (1.0, None, None, None)),
        ({"motor": {"torque": 2.0}}, "missing:motor.speed"),
        ({"motor": {"speed": {}}}, "missing:motor.speed.rpm"),
        ({"motor": {"speed": {"rpm": None}}}, "missing:motor.speed.rpm"),
        ({"motor": None}, "missing:motor"),
        ({}, "missing:motor"),
        ({"motor": {"speed": 1.0}}, "wrong_type:motor.speed"),
        ({"motor": MOTOR, "place": "x"}, "wrong_type:place"),
        ({"motor": MOTOR, "place": {"site": 1}}, "wrong_type:place.site"),
        # A dotted name is a path, not a name with dots in it.
        ({"motor.speed.rpm": 1.0}, "missing:motor"),
    ],
)
def test_dotted_paths_lead_into_objects(message: dict[str, Any], expected: Any) -> None:
    raw = json.dumps({**message, "at": "2026-04-30T10:00:00Z"}).encode()
    found = decoder_for(NESTED)(raw, NOW)
    if isinstance(expected, str):
        assert f"{found.code}:{found.field}" == expected
    else:
        assert found.record is not None
        assert tuple(found.record[f.name] for f in NESTED.fields[:-1]) == expected


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('{"motor":{"speed":{"rpm":1,"rpm":2}}', "motor.speed.rpm"),
        ('{"motor":{"speed":{"rpm":1}},"motor":{"speed":{"rpm":2}}', "motor"),
        ('{"motor":{"speed":{"rpm":1},"\\u0073peed":{"rpm":1}}', "motor.speed"),
        ('{"rpm":1,"motor":{"speed":{"rpm":1},"rpm":2}', None),
        ('{"motor":{"speed":{"rpm":1,"z":1,"z":2}}', None),
    ],
)
def test_a_duplicate_is_one_only_where_the_contract_reads(text: str, fault: str | None) -> None:
    raw = (text + ',"at":"2026-04-30T10:00:00Z"}').encode()
    found = decoder_for(NESTED)(raw, NOW)
    assert (found.code, found.field) == ("duplicate_key" if fault else None, fault)


def test_names_that_need_escapes_are_found() -> None:
    decode = decoder_for(stream(Field("x", ("größe in m",), "number", required=True)))
    for spelled in ("größe in m", "gr\\u00f6\\u00dfe in m"):
        found = decode(f'{{"{spelled}":1,"at":"2026-04-30T10:00:00Z"}}'.encode(), NOW)
        assert found.record == {"x": 1.0, "at": datetime(2026, 4, 30, 10, tzinfo=UTC)}


def test_the_verdict_does_not_depend_on_the_depth_of_the_callers_stack() -> None:
    def at_depth(frames: int, message: bytes) -> Decoded:
        return at_depth(frames - 1, message) if frames else DECODE(message, NOW)

    used = len(_frames())
    room = sys.getrecursionlimit() - used - 150
    for message in (unknown(deep(99)), unknown(deep(100)), unknown(deep(99), "z\\n")):
        assert at_depth(room, message) == at_depth(0, message)


def _frames() -> list[Any]:
    frame, found = sys._getframe(), []  # noqa: SLF001
    while frame:
        found.append(frame)
        frame = frame.f_back
    return found


# What a contract allows, for any fields.
_TIMES = st.datetimes(
    min_value=datetime(2026, 1, 1),  # noqa: DTZ001
    max_value=datetime(2026, 4, 30),  # noqa: DTZ001
    timezones=st.just(UTC),
)
_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "string": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "timestamp": st.datetimes(
        min_value=datetime(1, 1, 2),  # noqa: DTZ001
        max_value=datetime(9999, 12, 30),  # noqa: DTZ001
        timezones=st.just(UTC),
    ),
    "date": st.dates(),
}
_PATHS = (("a",), ("b", "c"), ("b", "d"), ("b", "e", "f"), ("g", "h", "i"), ("j",))


@st.composite
def contracts(draw: st.DrawFn) -> tuple[Field, ...]:
    paths = draw(st.lists(st.sampled_from(_PATHS), unique=True))
    return tuple(
        Field(f"x{i}", path, draw(st.sampled_from(sorted(_VALUES))), required=draw(st.booleans()))  # type: ignore[arg-type]
        for i, path in enumerate(paths)
    )


@st.composite
def records(draw: st.DrawFn) -> tuple[tuple[Field, ...], dict[str, Any]]:
    fields = draw(contracts())
    record = {"at": draw(_TIMES)}
    for field in fields:
        if field.required or draw(st.booleans()):
            record[field.name] = draw(_VALUES[field.type])
        else:
            record[field.name] = None
    return fields, record


def as_message(fields: tuple[Field, ...], record: dict[str, Any], *, nulls: bool) -> dict[str, Any]:
    message: dict[str, Any] = {"at": record["at"].isoformat()}
    for field in fields:
        content = record[field.name]
        if content is None and not nulls:
            continue
        node = message
        for part in field.path[:-1]:
            node = node.setdefault(part, {})
        node[field.path[-1]] = content.isoformat() if isinstance(content, date) else content
    return message


@given(records(), st.booleans(), st.booleans())
def test_any_record_that_the_contract_allows_comes_back_as_it_was(
    drawn: tuple[tuple[Field, ...], dict[str, Any]], ascii_only: bool, nulls: bool
) -> None:
    fields, record = drawn
    message = as_message(fields, record, nulls=nulls)
    raw = json.dumps(message, ensure_ascii=ascii_only).encode()
    assert decoder_for(stream(*fields))(raw, NOW).record == record


@given(st.binary() | st.text().map(str.encode), st.booleans())
def test_no_bytes_make_the_decoder_raise(noise: bytes, inside: bool) -> None:
    found = DECODE(unknown(noise) if inside else noise, NOW)
    assert (found.record is None) != (found.code is None)


@given(st.integers(0, len(GOOD) - 1), st.binary(max_size=3), st.integers(0, 3))
def test_no_change_of_a_good_message_makes_the_decoder_raise(
    place: int, added: bytes, removed: int
) -> None:
    found = DECODE(GOOD[:place] + added + GOOD[place + removed :], NOW)
    assert (found.record is None) != (found.code is None)


_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3)
    | st.sampled_from(["2026-04-30T10:00:00Z", "2026-04-30", "b", "it's"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from("abcdefghij"), inner, max_size=3)
    ),
    max_leaves=6,
)


def _is_whole_float(node: Any) -> bool:
    """1.0 is an integer for JSON Schema and not for the decoder."""
    if isinstance(node, dict):
        return any(map(_is_whole_float, node.values()))
    return isinstance(node, float) and node == math.floor(node)


@settings(max_examples=150)
@given(contracts(), st.dictionaries(st.sampled_from("abgj"), _JSON))
def test_json_schema_and_decoder_agree_on_structure(
    fields: tuple[Field, ...], message: dict[str, Any]
) -> None:
    """Where they differ: see the next test. Here times are texts for both or for neither."""
    fields = tuple(f for f in fields if f.type not in ("timestamp", "date"))
    if _is_whole_float(message):
        return
    message = {**message, "at": "2026-04-30T10:00:00Z"}
    contract = stream(*fields)
    by_schema = jsonschema.Draft202012Validator(json_schema(contract)).is_valid(message)
    found = decoder_for(contract)(json.dumps(message).encode(), NOW)
    assert by_schema == (found.code is None), found


@settings(max_examples=150)
@given(
    st.one_of(st.none(), st.integers(-5, 5), st.integers(), st.floats(-5, 5), st.text(max_size=1)),
    st.none() | st.sampled_from(["it's", "b", "", "B"]) | st.integers(0, 1),
    st.none() | st.sampled_from(["got a", "got ", "xgot a", "got A"]),
)
def test_json_schema_and_decoder_agree_on_ranges(n: Any, kind: Any, code: Any) -> None:
    message = {"n": n, "kind": kind, "code": code, "at": "2026-04-30T10:00:00Z"}
    if _is_whole_float(message):
        return
    by_schema = jsonschema.Draft202012Validator(json_schema(LIMITED)).is_valid(message)
    found = decoder_for(LIMITED)(json.dumps(message).encode(), NOW)
    assert by_schema == (found.code is None), found


DIFFERENCES = [
    # (what, message, why the decoder is stricter than a schema can be)
    ("1.0 as an integer", b'{"n":1.0,"at":"2026-04-30T10:00:00Z"}'),  # Spark's long would lose it
    ("a time that is none", b'{"at":"yesterday"}'),  # `format` is a remark in JSON Schema
    ("a time before history", b'{"at":"1970-01-01T00:00:00Z"}'),  # depends on the contract's start
    ("a time in the future", b'{"at":"2100-01-01T00:00:00Z"}'),  # depends on the time of receipt
    ("a duplicate key", b'{"n":1,"n":1,"at":"2026-04-30T10:00:00Z"}'),  # gone once it is parsed
    ("NUL in a text", b'{"code":"got a\\n\\u0000","at":"2026-04-30T10:00:00Z"}'),  # not in Postgres
]


@pytest.mark.parametrize("message", [d[1] for d in DIFFERENCES], ids=[d[0] for d in DIFFERENCES])
def test_where_the_decoder_is_stricter_than_json_schema(message: bytes) -> None:
    loose = stream(Field("n", ("n",), "integer"), Field("code", ("code",), "string"))
    assert jsonschema.Draft202012Validator(json_schema(loose)).is_valid(json.loads(message))
    assert decoder_for(loose)(message, NOW).code is not None


def test_one_decoder_serves_many_threads() -> None:
    found: list[Decoded] = []
    threads = [
        threading.Thread(target=lambda: found.extend(DECODE(GOOD, NOW) for _ in range(200)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 800
    assert all(f == found[0] and f.code is None for f in found)
