"""Messages against the contract: each is a row or a dead letter with its code, field and bytes.

The table is what people may rely on; the collector's door and the landing are both held to it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

import httpx
import pytest
from kafka import KafkaProducer
from kafka.errors import MessageSizeTooLargeError

from de_stack import partitions
from de_stack.contracts.topics import MAX_MESSAGE_BYTES
from de_stack.flow import counts
from de_stack.flow.bronze import bronze
from de_stack.flow.refine import silver
from de_stack.resources.kafka import client_options
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack.sources.collector.receive import Limits
from de_stack_tests.faults.messages import AT, CASES, GOOD, STREAM, Case, has
from de_stack_tests.integration.doors import Collector
from de_stack_tests.integration.pipeline import CHAIN, materialize, serving, this_hour

# A broker's default limit for a batch; with 72 bytes around a message without key and headers.
TOPIC_BYTES, AROUND = 1_048_588, 72


# What the door takes and the decoder, by itself, does not: times in other forms.
AT_THE_DOOR = {
    "time as number": ("before_history", "measured_at"),
    "no zone": (None, None),
}


# Bodies without an item, or with no end: they are told so and are no letters.
NO_ITEMS = {"empty", "blank", "10,000 deep", "1 MB of brackets"}


def post(collector: Collector, body: bytes, event_id: str) -> httpx.Response:
    """Send one message as an HTTP client does."""
    # An array is a batch of its items: to be the message, it goes into one.
    is_array = body.lstrip()[:1] == b"[" and body.rstrip()[-1:] == b"]"
    return collector.post(b"[" + body + b"]" if is_array else body, ce_id=event_id)


def verdict(collector: Collector, case: Case) -> tuple[str | None, str | None]:
    """(code, field) as the client hears it; (None, None) where it was accepted."""
    told = post(collector, case.value or b"", f"door: {case.name}").json()
    if "items" in told:
        (told,) = told["items"]
    if told["status"] == 202:
        return None, None
    assert 400 <= told["status"] < 500, told
    return told["code"], told.get("field")


@pytest.fixture
def collector(settings: Settings) -> Iterator[Collector]:
    made = Collector(settings)
    yield made
    made.close()


@pytest.fixture
def producer(settings: Settings) -> Iterator[KafkaProducer]:
    made = KafkaProducer(**client_options(settings), max_request_size=4 << 20)
    yield made
    made.close()


@pytest.mark.naive("lenient_json")
def test_each_message_is_a_row_or_a_dead_letter_with_its_reason_and_the_door_says_the_same(
    settings: Settings, collector: Collector, producer: KafkaProducer
) -> None:
    topic = settings.names.topic(*STREAM.topic)
    wanted = {case.name: (case.code, case.field) for case in CASES}
    assert len(wanted) == len(CASES)
    at_the_door = {case.name: verdict(collector, case) for case in CASES if case.value is not None}
    expected = {case.name: wanted[case.name] for case in CASES if case.value is not None}
    assert at_the_door == expected | AT_THE_DOOR

    for case in CASES:
        # A good neighbour on either side: in the same batch, and decoded in the same call.
        for name, value in ((f"before {case.name}", GOOD), (case.name, case.value)):
            producer.send(topic, value, key=b"k", headers=[("ce_id", name.encode())])
    producer.send(topic, GOOD, key=b"k", headers=[("ce_id", b"last")])
    producer.flush(timeout=30)
    materialize(["bronze_measures", "dead_measures"], this_hour())
    materialize(CHAIN[:1], partitions.floor(AT, "hour"))

    letters = serving(
        settings,
        "select event_id, code, field, value, reason, source "
        f"from {settings.names.schema('telemetry')}.dead_measures",
    )
    assert {name: (code, field) for name, code, field, *_, by in letters if by == "kafka"} == {
        name: verdict for name, verdict in wanted.items() if verdict[0]
    }
    refused = {name: verdict for name, verdict in at_the_door.items() if verdict[0]}
    # Of an array the door made the ids.
    kept = {name: verdict for name, verdict in refused.items() if name not in NO_ITEMS}
    of_door = [letter for letter in letters if letter[-1] == "http"]
    assert Counter(letter[1:3] for letter in of_door) == Counter(kept.values())
    assert collector.meters.kept_events.total() == len(of_door)
    sent = {case.name: case.value for case in CASES}
    for name, _, _, value, reason, by in letters:
        if by == "http":
            assert value in sent.values(), name
        else:
            assert value == sent[name], name
        assert reason, name
        assert len(reason) < 400, name
    rows = Lake(settings).query(silver(settings, STREAM).uri, "select event_id, value from t")
    ids = rows["event_id"].to_pylist()
    good = {name for name, verdict in wanted.items() if not verdict[0]}
    neighbours = {f"before {name}" for name in wanted} | {"last"}
    # The door made the ids of what came in an array; none of these was good.
    assert sorted(ids) == sorted(good | neighbours | {f"door: {name}" for name in good})
    assert set(rows["value"].to_pylist()) == {1.5}


@pytest.mark.naive("the_broker_knows_the_limit")
def test_a_message_is_as_large_as_its_topic_takes_and_not_a_byte_larger(
    settings: Settings, collector: Collector, producer: KafkaProducer
) -> None:
    topic = settings.names.topic(*STREAM.topic)

    def of(size: int) -> bytes:
        """A good message of so many bytes."""
        short = has("note", '""')
        return has("note", f'"{"x" * (size - len(short))}"')

    largest = of(TOPIC_BYTES - AROUND)
    producer.send(topic, largest, partition=0).get(timeout=30)
    with pytest.raises(MessageSizeTooLargeError):
        producer.send(topic, largest + b" ", partition=0).get(timeout=30)
    # A client with its own defaults says so before it sends.
    with (
        KafkaProducer(**client_options(settings)) as usual,
        pytest.raises(MessageSizeTooLargeError),
    ):
        usual.send(topic, of(TOPIC_BYTES), partition=0)

    # The door keeps room for what the broker and clients write around a message.
    most = MAX_MESSAGE_BYTES - 300
    assert post(collector, of(most), "id").status_code == 202
    for body in (of(MAX_MESSAGE_BYTES - 10), of(MAX_MESSAGE_BYTES + 1)):
        answer = post(collector, body, "id")
        assert (answer.status_code, answer.json().get("code")) == (413, "too_large")
    assert (collector.meters.rejects["too_large"], collector.meters.answers[413]) == (2, 2)
    assert post(collector, b" " * (Limits().body_bytes + 1), "id").json()["code"] == "too_large"
    assert (collector.meters.accepted_events.total(), collector.meters.answers[413]) == (1, 3)

    materialize(["bronze_measures"], this_hour())
    said = counts.count(settings, STREAM)
    assert (said.bronze, said.dead, said.waiting) == (2, 0, 0)
    sql = "select value from t where error is null"
    found = Lake(settings).query(bronze(settings, STREAM).uri, sql)["value"].to_pylist()
    assert sorted(map(len, found)) == [most, len(largest)]
