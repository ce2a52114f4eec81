"""Letters that are sent to their topic again: each once, whoever is killed or overtaken."""

import json
from collections.abc import Callable
from dataclasses import replace

import pytest

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.flow import commits, counts
from de_stack.flow import replay as again
from de_stack.flow.ledger import Ledger
from de_stack.flow.letter_ledger import LetterLedger
from de_stack.resources.kafka_messages import Message, fenced_producer
from de_stack_tests.integration.lettering import (
    HOT,
    HOUR,
    STREAM,
    killed_before,
    landed,
    letters,
    mended,
    refine_all,
    silver_rows,
    topic_messages,
)
from de_stack_tests.integration.pipeline import (
    measure,
    produce,
)


def test_a_replay_that_is_bad_again_is_a_new_letter_that_names_the_old_one(settings, spark) -> None:
    produce(settings, [json.dumps(HOT).encode(), measure("b", 2.0, HOUR)], [None, "good"])
    landed(settings, spark)
    (first,) = letters(settings)
    assert len(again.replay(settings, STREAM, "me").sent) == 1
    assert len(again.replay(settings, STREAM, "me").under_way) == 1
    landed(settings, spark)
    (second,) = letters(settings)
    assert second.replay_of == str(first.position) == second.event_id
    refine_all(settings, spark, STREAM)
    total = counts.count(settings, STREAM)
    assert (total.bronze, total.replayed, total.dead) == (3, 1, 1)
    assert total.bronze - total.replayed == total.silver + total.duplicates + total.dead

    done = again.replay(settings, STREAM, "me", mended={second.position: mended(second)})
    assert done.sent == [second.position]
    landed(settings, spark)
    both = letters(settings, only_open=False)
    assert [x.replayed_as for x in both].count(str(second.position)) == 1
    assert len({x.resolved_by for x in both}) == 1
    assert letters(settings) == []
    refine_all(settings, spark, STREAM)
    total = counts.count(settings, STREAM)
    assert (total.bronze, total.replayed, total.dead, total.silver) == (4, 2, 0, 2)
    assert {row["event_id"] for row in silver_rows(settings)} == {"good", str(first.position)}


@pytest.mark.parametrize("has_landed", [True, False])
def test_a_replay_that_was_killed_before_it_could_confirm_is_not_sent_twice(
    settings, spark, monkeypatch, has_landed
) -> None:
    produce(settings, [b"{", b"}"])
    landed(settings, spark)
    killed_before(LetterLedger, "confirm", settings)
    if has_landed:
        landed(settings, spark)
        with monkeypatch.context() as patch:
            patch.setattr(again, "enter_letters", lambda *_: None)
            done = again.replay(settings, STREAM, "me")
    else:
        done = again.replay(settings, STREAM, "me")
    assert (len(done.sent), len(done.under_way)) == (0, 2)
    assert len(topic_messages(settings)) == 4


def test_a_replay_that_lands_while_the_next_one_looks_for_it_is_found(
    settings, spark, monkeypatch
) -> None:
    produce(settings, [b"{"])
    landed(settings, spark)
    killed_before(LetterLedger, "confirm", settings)
    reads: list[str] = []

    def then_a_landing(name: str, read: Callable) -> Callable:
        def wrapped(*args: object) -> object:
            found = read(*args)
            reads.append(name)
            # Between the two reads, whichever comes first; landing reads the same.
            if len(reads) == 1:
                assert landed(settings, spark).rows == 1
            return found

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(again, "enter_letters", lambda *_: None)
        patch.setattr(commits, "reconcile", then_a_landing("version", commits.reconcile))
        patch.setattr(Ledger, "landed", then_a_landing("landed", Ledger.landed))
        done = again.replay(settings, STREAM, "me")
    assert reads[0] != reads[-1]
    assert (len(done.sent), len(done.under_way)) == (0, 1)
    assert len(topic_messages(settings)) == 2


def test_a_replay_that_was_entered_and_never_sent_is_sent_by_the_next(settings, spark) -> None:
    produce(settings, [b"{"])
    landed(settings, spark)
    killed_before(again, "_send", settings)
    assert len(again.replay(settings, STREAM, "me").sent) == 1
    assert len(topic_messages(settings)) == 2


def test_a_sender_that_was_overtaken_can_send_nothing_more(settings) -> None:
    topic, name = settings.names.topic("telemetry", "measures"), settings.namespace
    message = Message(b"k", b"v", [])

    def overtaken() -> None:
        with fenced_producer(settings, name, "be slow") as slow:
            with fenced_producer(settings, name, "be quick") as quick:
                quick.send(topic, [message])
            slow.send(topic, [message])

    with pytest.raises(TransientFailure, match="be slow"):
        overtaken()
    assert len(topic_messages(settings)) == 1


def test_a_letter_with_a_header_without_a_value_is_named_and_keeps_no_other_back(
    settings, spark
) -> None:
    from confluent_kafka import Producer

    topic = settings.names.topic("telemetry", "measures")
    client = Producer({"bootstrap.servers": settings.need("kafka_bootstrap")})
    client.produce(topic, b"{", b"k", headers=[("trace", None)])
    client.flush(20)
    produce(settings, [b"["])
    landed(settings, spark)
    one, other = sorted(letters(settings), key=lambda x: x.value != b"{")
    done = again.replay(settings, STREAM, "me")
    assert (done.unsendable, done.sent) == ([one.position], [other.position])
    assert len(topic_messages(settings)) == 3
    done = again.replay(settings, STREAM, "me")
    assert (done.unsendable, done.under_way) == ([one.position], [other.position])


def test_a_letter_that_is_not_there_is_refused_before_anything_is_sent(settings, spark) -> None:
    produce(settings, [b"{"])
    landed(settings, spark)
    (letter,) = letters(settings)
    other = replace(letter.position, offset=99)
    with pytest.raises(PermanentFailure, match="there is no such letter"):
        again.replay(settings, STREAM, "me", [letter.position, other])
    assert len(topic_messages(settings)) == 1
