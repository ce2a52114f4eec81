"""Lines of CSV as messages. Belongs here: what a line stands for, and that all judges agree."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from de_stack.contracts import Field, load_stream
from de_stack.contracts.csv_line import BadLine, line_of, line_reader
from de_stack.contracts.decode import decoder_for
from de_stack_tests.streams import stream
from de_stack_tests.unit.test_contracts_columns import same

NOW = datetime(2026, 5, 1, tzinfo=UTC)
TICKS = load_stream("stocks.ticks")
DECODE = decoder_for(TICKS)
LINE = b"AGL,BUY ,496.53,233,1534849272066,2018-08-21 21:01:12.066"
TRADE = {
    "stock_name": "AGL",
    "trade_type": "BUY",
    "price": 496.53,
    "quantity": 233,
    "event_time": datetime(2018, 8, 21, 11, 1, 12, 66000, tzinfo=UTC),
}
# Each type, optional and required, a place in an object, a cell that is read over.
ALL = stream(
    Field("name", ("who", "name"), "string", required=True),
    Field("note", ("who", "note"), "string"),
    Field("big", ("big",), "integer"),
    Field("size", ("size",), "number"),
    Field("ok", ("ok",), "boolean"),
    Field("day", ("day",), "date"),
    csv_line=("at", "name", None, "note", "big", "size", "ok", "day"),
)


def cells(**values: str) -> bytes:
    """A line of `ALL`."""
    given = {"at": "2026-04-30T10:00:00Z", "name": "a"} | values
    return ",".join(given.get(name or "", "") for name in ALL.csv_line).encode()


@pytest.mark.parametrize(
    "line",
    [
        LINE,
        LINE + b"\n",
        LINE + b"\r\n",
        LINE + b"\n\n",
        b"\r\n" + LINE,
        b"\xef\xbb\xbf" + LINE,
        b'"AGL","BUY ","496.53","233","1534849272066","2018-08-21 21:01:12.066"',
        b' "AGL" , BUY,\t496.53 ,+233, 1534849272066 ,'.replace(b'" ', b'"'),
        b"AGL,BUY,496.53,0233,2018-08-21T11:01:12.066Z,",
        b"AGL,BUY,496.53,233,2018-08-21 21:01:12.066+10:00,whatever",
        b"AGL,BUY,496.53,233,2018-08-21 11:01:12.066,",
        b"AGL,BUY,4.9653e2,233,1534849272.066,",
        b'AGL,BUY,496.53,233,1534849272066,"a ""local"" time, with\r\nan end of line"',
    ],
)
def test_a_line_is_the_trade_that_it_stands_for(line: bytes) -> None:
    assert DECODE(line, NOW).record == TRADE
    same(TICKS, [line, LINE], NOW)


BAD = [
    (b"AGL,BUY ,496.53,233,1534849272066", "columns:: 5 cells, the contract has 6"),
    (LINE + b",", "columns:: 7 cells, the contract has 6"),
    (LINE + b"\n" + LINE, "columns:: 2 lines in one message"),
    (LINE + b"\r" + LINE, "columns:: 2 lines in one message"),
    (b"", "columns:: 0 cells, the contract has 6"),
    (b"\r\n", "columns:: 0 cells, the contract has 6"),
    (b"[1, 2]", "columns:: 2 cells, the contract has 6"),
    (b"null", "columns:: 1 cells, the contract has 6"),
    (LINE.replace(b"AGL", b"A\xff"), "malformed:: 'utf-8' codec can't decode byte 0xff"),
    (b'"' + LINE, "malformed:: no CSV: unexpected end of data"),
    (b'"A"GL' + LINE[3:], "malformed:: no CSV: ',' expected after '\"'"),
    (b"x" * 200_000 + LINE, "malformed:: no CSV: field larger than field limit"),
    (b"\xef\xbb\xbf{}", "malformed::"),
    (b"{" + LINE, "malformed::"),
    (LINE.replace(b"AGL", b""), "missing:stock_name:"),
    (LINE.replace(b"AGL", b" "), "missing:stock_name:"),
    (LINE.replace(b"AGL", b"A" * 33), "out_of_range:stock_name:"),
    (LINE.replace(b"AGL", b"A\0"), "out_of_range:stock_name: holds a NUL"),
    (LINE.replace(b"BUY ", b"buy"), "out_of_range:trade_type:"),
    (LINE.replace(b"496.53", b""), "missing:price:"),
    (LINE.replace(b"496.53", b"NaN"), "wrong_type:price:"),
    (LINE.replace(b"496.53", b"inf"), "wrong_type:price:"),
    (LINE.replace(b"496.53", b"1_0"), "wrong_type:price:"),
    (LINE.replace(b"496.53", b"\xd9\xa1"), "wrong_type:price:"),
    (LINE.replace(b"496.53", b"1e400"), "out_of_range:price:"),
    (LINE.replace(b"496.53", b"-1"), "out_of_range:price:"),
    (LINE.replace(b"233", b"2.5"), "wrong_type:quantity:"),
    (LINE.replace(b"233", b"9223372036854775808"), "out_of_range:quantity:"),
    (LINE.replace(b"233", b"0" * 99_000 + b"x"), "wrong_type:quantity:"),
    (LINE.replace(b"1534849272066", b""), "missing:event_time:"),
    (LINE.replace(b"1534849272066", b"yesterday"), "wrong_type:event_time:"),
    (LINE.replace(b"1534849272066", b"1e99"), "wrong_type:event_time:"),
    (LINE.replace(b"1534849272066", b"1"), "before_history:event_time:"),
    (LINE.replace(b"1534849272066", b"9e12"), "in_future:event_time:"),
]


@pytest.mark.parametrize(("line", "error"), BAD)
def test_a_line_that_is_none_says_why_and_takes_nothing_from_its_neighbours(
    line: bytes, error: str
) -> None:
    assert (DECODE(line, NOW).error or "").startswith(error)
    same(TICKS, [line], NOW)
    same(TICKS, [LINE, line, LINE], NOW)


def test_all_of_them_among_json_and_tombstones() -> None:
    message = json.dumps({**TRADE, "event_time": "2018-08-21T11:01:12.066Z"}).encode()
    same(TICKS, [LINE, *(line for line, _ in BAD), None, message, b" " + message, LINE], NOW)
    same(TICKS, [None, message, message], NOW)


@pytest.mark.parametrize(
    ("line", "record"),
    [
        (cells(), {}),
        (cells(name=""), {"name": ""}),
        (cells(note="x", big="5", size="5", ok="TRUE", day="2026-01-02"), None),
        (cells(big="9223372036854775807"), {"big": 2**63 - 1}),
        (cells(big="-007"), {"big": -7}),
        (cells(size=".5"), {"size": 0.5}),
        (cells(size="+5."), {"size": 5.0}),
        (cells(size="-0.1e-3"), {"size": -0.0001}),
        (cells(size="0.30000000000000004"), {"size": 0.30000000000000004}),
        (cells(note='"a, ""b"""'), {"note": 'a, "b"'}),
        (cells(note="größe \\n {"), {"note": "größe \\n {"}),
    ],
)
def test_each_type_and_what_an_empty_cell_is(line: bytes, record: dict[str, Any] | None) -> None:
    found = decoder_for(ALL)(line, NOW)
    assert found.error is None
    assert found.record is not None
    values = {k: v for k, v in found.record.items() if v is not None and k != "at"}
    if record is None:
        assert {type(v).__name__ for v in values.values()} == {
            "str",
            "int",
            "float",
            "bool",
            "date",
        }
    else:
        assert values == {"name": "a", **record}
    same(ALL, [line, cells()], NOW)


def test_json_goes_through_untouched_and_only_where_the_contract_has_no_line_nothing_is_read() -> (
    None
):
    read = line_reader(TICKS)
    assert read is not None
    for message in (b"{", b' \r\n\t{"a": 1} ', b"\xef\xbb\xbf {"):
        assert read(message) is message
    assert line_reader(load_stream("telemetry.measures")) is None
    with pytest.raises(BadLine):
        read(b"a,b")


VALUES = {
    "string": st.text(max_size=8).map(str.strip),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "date": st.dates().map(str),
    "timestamp": st.just("2026-04-30T10:00:00.123456Z"),
}


@settings(max_examples=200, deadline=None)
@given(st.fixed_dictionaries({f.name: VALUES[f.type] for f in ALL.fields}))
def test_what_is_written_as_a_line_is_read_as_what_it_was(values: dict[str, Any]) -> None:
    message = {"who": {k: values.pop(k) for k in ("name", "note")}} | values
    decode = decoder_for(ALL)
    asked, found = (
        decode(raw, NOW) for raw in (json.dumps(message).encode(), line_of(ALL, message, "spare"))
    )
    if asked.record:
        # An empty cell of an optional text says nothing.
        asked.record["note"] = asked.record["note"] or None
    assert (found.record, found.code) == (asked.record, asked.code)


TEXTS = st.text(alphabet='aZ09 .,"+-eE{}[]:\\\r\n\t\0\x1f\ufeff\u2028é', max_size=12)
EDITS = [b",", b'"', b"\n", b"\r\n", b"{", b"\xff", b"\xef\xbb\xbf", b" ", b"\\", b"1e400", b"NaN"]


@settings(max_examples=400, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.binary(max_size=40),
            st.lists(TEXTS, max_size=9).map(lambda found: ",".join(found).encode()),
            st.dictionaries(
                st.sampled_from([f.name for f in ALL.fields]),
                st.one_of(
                    TEXTS,
                    st.integers().map(str),
                    st.floats().map(str),
                    st.datetimes().map(str),
                    st.dates().map(str),
                ),
            ).map(lambda values: cells(**values)),
            st.tuples(st.sampled_from(EDITS), st.integers(0, len(cells()))).map(
                lambda edit: cells()[: edit[1]] + edit[0] + cells()[edit[1] :]
            ),
        ),
        max_size=5,
    )
)
def test_whatever_comes_one_by_one_and_all_at_once_say_the_same(messages: list[bytes]) -> None:
    good = b'{"who": {"name": "a"}, "at": "2026-04-30T10:00:00Z"}'
    same(ALL, [cells(), *messages, good], NOW)
    same(TICKS, [LINE, *messages], NOW)
