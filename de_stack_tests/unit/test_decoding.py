"""What Spark's workers run, without Spark. Belongs here: Arrow batches in and out, the trip."""

import io
import json
import pickle
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pytest
from pyspark import cloudpickle

from de_stack.contracts import Field, Stream
from de_stack.flow.decoding import decode_batches
from de_stack_tests.streams import stream

TEN = datetime(2026, 5, 1, 10, tzinfo=UTC)
SCHEMA = pa.schema(
    [
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("timestamp", pa.timestamp("us", "Etc/UTC")),
        ("key", pa.binary()),
        ("headers", pa.list_(pa.struct([("key", pa.string()), ("value", pa.binary())]))),
        ("value", pa.binary()),
    ]
)
FIELDS = (
    Field("name", ("name",), "string"),
    Field("n", ("n",), "integer"),
    Field("x", ("x",), "number"),
    Field("ok", ("ok",), "boolean"),
    Field("day", ("day",), "date"),
)
GOOD = {"name": "a", "n": 1, "x": 1.5, "ok": True, "day": "2026-05-01", "at": TEN.isoformat()}


def decoded(contract: Stream, *messages: tuple[Any, Any]) -> list[dict[str, Any]]:
    """Bronze rows of (value, headers)."""
    rows = [
        {
            "partition": 2,
            "offset": i,
            "timestamp": TEN,
            "key": b"k",
            "headers": headers,
            "value": json.dumps(value).encode() if isinstance(value, dict) else value,
        }
        for i, (value, headers) in enumerate(messages)
    ]
    batch = pa.RecordBatch.from_pylist(rows, SCHEMA)
    (found,) = decode_batches(contract, "topic-id")(iter([batch]))
    return found.to_pylist()


def header(value: bytes | None, name: str = "ce_id") -> list[dict[str, Any]]:
    return [{"key": "other", "value": b"x"}, {"key": name, "value": value}]


def test_a_good_message_becomes_a_typed_record_beside_its_raw_self() -> None:
    (row,) = decoded(stream(*FIELDS), (GOOD, header(b"e1")))
    assert row["record"] == {
        "name": "a",
        "n": 1,
        "x": 1.5,
        "ok": True,
        "day": TEN.date(),
        "at": TEN,
    }
    assert (row["event_id"], row["event_time"], row["error"]) == ("e1", TEN, None)
    assert (row["partition"], row["offset"], row["broker_time"], row["key"]) == (2, 0, TEN, b"k")
    assert json.loads(row["value"]) == GOOD
    assert row["headers"] == header(b"e1")


def test_a_bad_message_stays_with_its_reason_and_without_a_record() -> None:
    rows = decoded(stream(*FIELDS), (b"{", header(b"e1")), (None, None), (GOOD, header(b"e3")))
    assert [r["error"] is None for r in rows] == [False, False, True]
    assert [r["error"].split(":")[0] for r in rows[:2]] == ["malformed", "tombstone"]
    assert [r["record"] is None for r in rows] == [True, True, False]
    assert [r["event_time"] for r in rows] == [None, None, TEN]
    assert [r["value"] for r in rows[:2]] == [b"{", None]


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (header(b"e1"), "e1"),
        (header("größe".encode()), "größe"),
        ([*header(b"e1"), *header(b"e2")], "e1"),
        (header(b"e1", "CE_ID"), "topic-id:2:0"),
        (header(b""), "topic-id:2:0"),
        (header(None), "topic-id:2:0"),
        (header(b"\xff"), "topic-id:2:0"),
        ([], "topic-id:2:0"),
        (None, "topic-id:2:0"),
    ],
)
def test_an_event_without_an_id_is_identified_by_where_it_lies(headers: Any, expected: str) -> None:
    (row,) = decoded(stream(*FIELDS), (GOOD, headers))
    assert row["event_id"] == expected


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("name", "e1", "e1"),
        ("name", "", "topic-id:2:0"),
        ("name", None, "topic-id:2:0"),
        ("n", 5, "5"),
        ("n", 0, "0"),
        ("n", None, "topic-id:2:0"),
    ],
)
def test_an_id_in_a_field_is_one_only_where_it_is_given(
    field: str, value: Any, expected: str
) -> None:
    contract = stream(*FIELDS, event_id=f"field:{field}")
    (row,) = decoded(contract, ({**GOOD, field: value}, header(b"not this")))
    assert row["event_id"] == expected
    (bad,) = decoded(contract, (b"{", header(b"not this")))
    assert bad["event_id"] == "topic-id:2:0"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (header(b"t:0:7", "de_stack_replay_of"), "t:0:7"),
        ([*header(b"t:0:7", "de_stack_replay_of"), *header(b"t:1:9", "de_stack_replay_of")],)
        + ("t:0:7",),
        ([*header(b"t:0:7", "de_stack_replay_of"), *header(b"e1")], "e1"),
    ],
)
def test_a_replay_keeps_the_identity_of_the_first_attempt(headers: Any, expected: str) -> None:
    (row,) = decoded(stream(*FIELDS), (GOOD, headers))
    assert row["event_id"] == expected


def rejected(value: bytes | None) -> list[dict[str, Any]]:
    return [*header(b"e1"), *header(value, "de_stack_rejected")]


@pytest.mark.parametrize(
    ("verdict", "error"),
    [
        (b"1.0.0 envelope:id: too long", "envelope:id: too long"),
        (b"1.0.0 in_future:at: a: b", "in_future:at: a: b"),
        # Another contract has refused it: this one finds nothing wrong.
        (b"0.9.0 envelope:id: too long", None),
        (b"1.0.01 envelope:id: too long", None),
        (b"", None),
        (b"\xff", None),
        (None, None),
    ],
)
def test_what_its_source_has_refused_is_bad_as_long_as_the_contract_is_the_same(
    verdict: bytes | None, error: str | None
) -> None:
    fine, row, bad = decoded(
        stream(*FIELDS), (GOOD, header(b"e0")), (GOOD, rejected(verdict)), (b"{", None)
    )
    assert (row["error"], row["event_id"]) == (error, "e1")
    assert (row["record"] is None, row["event_time"]) == ((True, None) if error else (False, TEN))
    assert row["headers"] == rejected(verdict)
    assert (fine["error"], fine["record"]["n"], fine["event_time"]) == (None, 1, TEN)
    assert bad["error"].startswith("malformed")


def test_the_reason_of_the_source_stands_before_ours() -> None:
    """The client was told it; and what it sent is not always what the decoder was asked about."""
    (row,) = decoded(stream(*FIELDS), (b'{"at":[]}', rejected(b"1.0.0 wrong_type:x: hot")))
    assert row["error"] == "wrong_type:x: hot"
    (row,) = decoded(stream(*FIELDS), (b'{"at":[]}', rejected(b"0.9.0 wrong_type:x: hot")))
    assert row["error"].startswith("wrong_type:at")


def test_what_the_door_refused_is_judged_anew_as_the_door_reads_it() -> None:
    seconds = json.dumps(GOOD | {"at": TEN.timestamp()}).encode()
    row, other = decoded(
        stream(*FIELDS), (seconds, rejected(b"0.9.0 wrong_type:x: hot")), (seconds, None)
    )
    assert (row["error"], row["event_time"], row["value"]) == (None, TEN, seconds)
    # What came to Kafka by itself is taken as it is.
    assert other["error"].startswith("wrong_type:at")


def test_a_refused_message_is_no_event_of_the_id_in_its_record() -> None:
    contract = stream(*FIELDS, event_id="field:name")
    (row,) = decoded(contract, (GOOD, header(b"1.0.0 envelope:: x", "de_stack_rejected")))
    assert row["event_id"] == "topic-id:2:0"


def test_two_messages_without_an_id_are_never_one_event() -> None:
    contract = stream(*FIELDS, event_id="field:name")
    message = {**GOOD, "name": None}
    ids = [r["event_id"] for r in decoded(contract, (message, None), (message, None))]
    assert len(set(ids)) == 2


def test_a_batch_may_be_empty_and_batches_stay_in_order() -> None:
    assert decoded(stream(*FIELDS)) == []
    batch = pa.RecordBatch.from_pylist([], SCHEMA)
    assert len(list(decode_batches(stream(), "t")(iter([batch, batch])))) == 2


class _Worker(pickle.Unpickler):
    """A worker has msgspec and pyarrow, and not this package."""

    def find_class(self, module: str, name: str) -> Any:
        assert not module.startswith("de_stack."), f"{module}.{name} does not travel with the job"
        return super().find_class(module, name)


def test_the_decoder_travels_to_the_workers_with_all_that_it_needs() -> None:
    sent = cloudpickle.dumps(decode_batches(stream(*FIELDS), "topic-id"))
    run = _Worker(io.BytesIO(sent)).load()
    row = {"partition": 0, "offset": 7, "timestamp": TEN, "value": json.dumps(GOOD).encode()}
    seconds = json.dumps(GOOD | {"at": TEN.timestamp()}).encode()
    refused = row | {"value": seconds, "headers": rejected(b"0.9.0 wrong_type:x: hot")}
    (found,) = run(iter([pa.RecordBatch.from_pylist([row, refused], SCHEMA)]))
    assert [r["record"]["n"] for r in found.to_pylist()] == [1, 1]


@pytest.mark.parametrize(
    "stamp",
    [-1_000, 0, 4_102_444_800_000_000, 1_764_000_000_000_000_000],
    ids=["none", "1970", "2100", "microseconds"],
)
def test_a_stamp_that_cannot_be_true_is_replaced_by_the_time_of_reading(stamp: int) -> None:
    row = {"partition": 0, "offset": 0, "key": b"k", "headers": [], "timestamp": TEN}
    row["value"] = json.dumps(GOOD).encode()
    batch = pa.RecordBatch.from_pylist([row], SCHEMA)
    place = SCHEMA.get_field_index("timestamp")
    wild = pa.array([stamp], SCHEMA.field(place).type)
    batch = batch.set_column(place, SCHEMA.field(place), wild)
    before = datetime.now(UTC)
    (found,) = decode_batches(stream(*FIELDS), "topic-id")(iter([batch]))
    (read,) = found.to_pylist()
    assert before <= read["broker_time"] <= datetime.now(UTC)
    assert read["error"] is None
