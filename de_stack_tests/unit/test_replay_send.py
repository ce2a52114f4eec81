"""The sending loop with a producer of twenty lines: pace, spans, an end in between."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from de_stack.failures import TransientFailure
from de_stack.sources.replay.records import Event
from de_stack.sources.replay.send import Sent, World, at_once, send


class Producer:
    """Acknowledges when it is polled or flushed; one partition per key."""

    def __init__(self) -> None:
        self.queued: list[Callable[[], None]] = []
        self.values: list[bytes | None] = []
        self.times: list[float] = []
        self.ends = {0: 100, 1: 7}
        self.clock = Clock()
        self.breaks_at: int | None = None

    def send(self, topic, key, value, headers, acknowledged=None) -> None:  # noqa: ANN001
        if len(self.values) == self.breaks_at:
            raise TransientFailure("send", "away")
        self.values.append(value)
        self.times.append(self.clock.now)
        partition = len(key or b"") % 2
        offset, self.ends[partition] = self.ends[partition], self.ends[partition] + 1
        assert acknowledged is not None
        self.queued.append(lambda: acknowledged(partition, offset))

    def poll(self) -> None:
        while self.queued:
            self.queued.pop(0)()

    def flush(self, seconds: float | None = None) -> None:
        self.poll()


class Clock:
    def __init__(self) -> None:
        self.now, self.stop_at = 0.0, float("inf")

    def sleep(self, seconds: float) -> None:
        self.now += seconds

    def world(self) -> World:
        return World(lambda: self.now, self.sleep, lambda: self.now >= self.stop_at)


def event(row: int, error: str | None = None, size: int = 1, key: bytes = b"a") -> Event:
    return Event(row, key, b"v" * size, [("ce_id", b"%d" % row)], error)


def test_everything_is_sent_in_order_and_its_places_are_known() -> None:
    producer = Producer()
    batches = [[event(1), event(2, key=b"ab")], [event(3), event(4)]]
    heard: list[int] = []
    sent = send(
        batches, producer, "t", producer.clock.world(), None, lambda s: heard.append(s.rows)
    )
    assert (sent.rows, sent.acknowledged, sent.good, sent.is_whole) == (4, 4, 4, True)
    assert sent.spans == {0: (100, 101), 1: (7, 10)}
    assert heard == [2, 4, 4]


def test_bad_rows_are_sent_too_and_counted_with_the_first_of_them() -> None:
    producer = Producer()
    batch = [
        event(1),
        event(2, "wrong_type:value: x"),
        event(3, "missing:at: y"),
        event(4, "missing"),
    ]
    sent = send([batch], producer, "t", producer.clock.world())
    assert sent.refused == {"wrong_type": 1, "missing": 2}
    assert sent.first_refused == (2, "wrong_type:value: x")
    assert (sent.acknowledged, sent.good) == (4, 1)


def test_a_row_that_is_too_large_does_not_keep_the_others_back_and_is_named() -> None:
    producer = Producer()
    sent = send(
        [[event(1), event(2, size=1_000_001), event(3)]], producer, "t", producer.clock.world()
    )
    assert sent.unsendable == [(2, 1_000_001)]
    assert (sent.rows, sent.acknowledged, sent.good) == (3, 2, 2)
    assert sent.is_whole


def test_the_rate_is_kept_from_the_first_row_to_the_last() -> None:
    producer = Producer()
    batches = [[event(i) for i in range(first, first + 5)] for first in (1, 6, 11)]
    send(batches, producer, "t", producer.clock.world(), rate=2.0)
    assert producer.times == pytest.approx([i / 2 for i in range(15)])


def test_somebody_who_wants_an_end_gets_it_soon_and_what_was_queued_is_acknowledged() -> None:
    producer = Producer()
    producer.clock.stop_at = 3.1
    sent = send([[event(i) for i in range(100)]], producer, "t", producer.clock.world(), rate=1.0)
    assert (sent.rows, sent.acknowledged, sent.is_whole) == (4, 4, False)
    assert producer.clock.now < 3.5


def test_without_a_rate_an_end_comes_after_the_batch() -> None:
    producer = Producer()
    producer.clock.stop_at = 0.0
    sent = send([[event(1)], [event(2)]], producer, "t", producer.clock.world())
    assert (sent.acknowledged, sent.is_whole) == (1, False)


def test_after_a_failure_it_is_known_how_far_it_came() -> None:
    producer, sent = Producer(), Sent()
    producer.breaks_at = 2
    with pytest.raises(TransientFailure):
        send([[event(1), event(2), event(3)]], producer, "t", producer.clock.world(), sent=sent)
    producer.poll()
    assert (sent.acknowledged, sent.is_whole) == (2, False)


def test_at_a_low_rate_rows_are_made_ready_for_a_second_only() -> None:
    assert [at_once(rate) for rate in (None, 0.1, 50, 1e6)] == [5000, 1, 50, 5000]
