"""Topics that change under the landing: cut by retention, made anew, grown, a transaction open."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from kafka import KafkaProducer
from kafka.structs import TopicPartition

from de_stack.contracts import load_stream
from de_stack.failures import PermanentFailure
from de_stack.flow import counts, land, offsets
from de_stack.flow.bronze import bronze
from de_stack.flow.ledger import Ledger
from de_stack.flow.offsets import standing
from de_stack.resources.kafka import Kafka, TopicState, client_options, ensure_topics
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import measure, produce, until_committed

STREAM = load_stream("telemetry.measures")


@pytest.fixture
def landed(settings, spark) -> Callable[[], land.Landing]:  # noqa: ANN001
    return lambda: land.land(settings, STREAM, spark, "test")


def state_of(settings: Settings) -> TopicState:
    state = Kafka(settings).topic_state(settings.names.topic("telemetry", "measures"))
    assert state is not None
    return state


def send(settings: Settings, rows: int) -> None:
    now = datetime.now(UTC)
    produce(settings, [measure("a", float(i), now) for i in range(rows)])


def delete_before(settings: Settings, offset: int) -> int:
    """Delete what the fullest partition holds before an offset; that partition."""
    state = state_of(settings)
    partition = max(state.end, key=lambda p: state.end[p])
    with Kafka(settings).admin("delete in a test") as client:
        client.delete_records({TopicPartition(state.topic, partition): offset})
    return partition


@pytest.mark.naive("begins_where_kafka_begins")
def test_deleted_offsets_are_named_until_a_person_accepts_the_loss(settings, landed) -> None:
    send(settings, 10)
    landed()
    send(settings, 10)
    partition = delete_before(settings, 15)
    for _ in range(2):
        with pytest.raises(PermanentFailure, match=rf"partition {partition} offsets 10\.\.14"):
            landed()
    with pytest.raises(PermanentFailure, match="accept-gap telemetry.measures"):
        land.waiting(settings, STREAM)

    (gap,) = offsets.accept_gaps(settings, STREAM, "the broker was full", "somebody")
    assert (gap.partition, gap.first, gap.last) == (partition, 10, 14)
    assert landed().rows == 5
    shown = next(p for p in standing(settings, STREAM).partitions if p.partition == partition)
    assert (shown.landed, shown.waiting, shown.missing) == (20, 0, [])
    assert counts.count(settings, STREAM).bronze == 15
    # The acceptance is for these offsets: what is deleted later is refused again.
    send(settings, 10)
    delete_before(settings, 23)
    with pytest.raises(PermanentFailure, match=r"offsets 20\.\.22"):
        landed()


def test_what_a_killed_run_has_landed_is_not_missing_when_kafka_has_deleted_it(
    settings, landed
) -> None:
    for _ in range(2):
        send(settings, 10)
        landed()
    # The run died between its commit and the ledger, and the machine was off for a week.
    Ledger(settings).forget(bronze(settings, STREAM).table_id, 2)
    delete_before(settings, 15)
    assert all(p.missing == [] for p in standing(settings, STREAM).partitions)
    Ledger(settings).forget(bronze(settings, STREAM).table_id, 2)
    assert offsets.accept_gaps(settings, STREAM, "it looks lost", "somebody") == []
    Ledger(settings).forget(bronze(settings, STREAM).table_id, 2)
    assert land.waiting(settings, STREAM) == 0
    assert counts.count(settings, STREAM).bronze == 20


def test_an_acceptance_that_retention_overtakes_does_not_cover_the_rest(settings, landed) -> None:
    send(settings, 4)
    landed()
    send(settings, 6)
    delete_before(settings, 6)
    offsets.accept_gaps(settings, STREAM, "lost", "somebody")
    delete_before(settings, 8)
    with pytest.raises(PermanentFailure, match=r"offsets 6\.\.7:"):
        landed()


@pytest.mark.naive("names_are_identities")
def test_a_topic_made_anew_lands_from_its_beginning_after_a_person_said_so(
    settings, landed
) -> None:
    send(settings, 5)
    landed()
    topic = settings.names.topic("telemetry", "measures")
    with Kafka(settings).admin("delete in a test") as client:
        client.delete_topics([topic])
    deadline = time.monotonic() + 20
    while Kafka(settings).topic_state(topic) is not None:
        assert time.monotonic() < deadline, f"{topic} is not gone"
        time.sleep(0.1)
    ensure_topics(settings)
    send(settings, 7)
    with pytest.raises(PermanentFailure, match="made anew.*accept-topic telemetry.measures"):
        landed()
    assert not standing(settings, STREAM).is_accepted

    assert offsets.accept_topic(settings, STREAM, "moved", "somebody") is not None
    assert offsets.accept_topic(settings, STREAM, "again", "somebody") is None
    # The same offsets as before, of another topic: neither merged with the old ones nor left out.
    assert landed().rows == 7
    assert landed().rows == 0
    assert counts.count(settings, STREAM).bronze == 12


def until_grown(settings: Settings, topic: str, partitions: int) -> None:
    """The broker tells of new partitions a moment after it has made them."""
    deadline = time.monotonic() + 20
    while (state := Kafka(settings).topic_state(topic)) is None or len(state.end) < partitions:
        assert time.monotonic() < deadline, f"{topic} has not grown"
        time.sleep(0.1)


@pytest.mark.naive("partitions_stay_as_they_are")
def test_new_partitions_are_landed_from_their_first_offset(settings, landed) -> None:
    send(settings, 3)
    landed()
    topic = settings.names.topic("telemetry", "measures")
    with Kafka(settings).admin("grow in a test") as client:
        client.create_partitions({topic: 6})
    until_grown(settings, topic, 6)
    producer = KafkaProducer(**client_options(settings))
    value = json.dumps(measure("b", 1.0, datetime.now(UTC))).encode()
    for partition in range(6):
        producer.send(topic, value, partition=partition).get(timeout=20)
    producer.close()
    assert landed().rows == 6
    assert [p.landed for p in standing(settings, STREAM).partitions[3:]] == [1, 1, 1]


@pytest.mark.naive("ends_at_the_high_watermark")
def test_what_an_open_transaction_wrote_lands_when_it_is_committed_and_never_when_it_is_not(
    settings, landed
) -> None:
    topic = settings.names.topic("telemetry", "measures")
    value = json.dumps(measure("t", 1.0, datetime.now(UTC))).encode()

    def transaction() -> KafkaProducer:
        producer = KafkaProducer(**client_options(settings), transactional_id=settings.namespace)
        producer.init_transactions()
        producer.begin_transaction()
        for _ in range(4):
            producer.send(topic, value, partition=0)
        producer.flush()
        return producer

    open_one = transaction()
    producer = KafkaProducer(**client_options(settings))
    producer.send(topic, value, partition=0).get(timeout=20)
    producer.close()
    assert (land.waiting(settings, STREAM), landed().rows) == (0, 0)
    open_one.commit_transaction()
    until_committed(settings)
    assert landed().rows == 5
    aborted = transaction()
    aborted.abort_transaction()
    open_one.close()
    aborted.close()
    until_committed(settings)
    landing = landed()
    assert landing.rows == 0
    assert land.waiting(settings, STREAM) == 0
    assert landed().slices == 0
