"""The one producer behind all requests: order, deadlines, limits, repair."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from de_stack.failures import Failure, TransientFailure
from de_stack.sources.collector.check import Message
from de_stack.sources.collector.door import Door
from de_stack.sources.collector.under_way import Budget
from de_stack_tests.fakes import FakeProducer

AWAY = TransientFailure("reach Kafka", "nobody answered")


def message(text: str) -> Message:
    """A message of these bytes."""
    return Message(b"k", text.encode(), [])


def test_requests_reach_the_producer_in_the_order_in_which_they_came() -> None:
    producer = FakeProducer()

    async def story() -> None:
        door = Door(lambda: producer, Budget(1 << 20))
        batches = [[message(f"{n}.{i}") for i in range(3)] for n in range(50)]
        await asyncio.gather(*(door.send("t", batch, 1.0) for batch in batches))

    asyncio.run(story())
    assert [m.value.decode() for _, m in producer.sent] == [
        f"{n}.{i}" for n in range(50) for i in range(3)
    ]


def test_acknowledgements_from_another_thread_are_awaited_without_blocking() -> None:
    producer = FakeProducer(holding=True)

    def acknowledge() -> None:
        while len(producer.waiting) < 2:
            time.sleep(0.005)
        for settled in producer.waiting:
            settled(None)

    async def story() -> list[Failure | None]:
        threading.Thread(target=acknowledge).start()
        return await Door(lambda: producer, Budget(100)).send(
            "t", [message("a"), message("b")], 2.0
        )

    assert asyncio.run(story()) == [None, None]


def test_what_does_not_fit_under_way_is_busy_and_never_sent() -> None:
    producer = FakeProducer()

    async def story() -> list[Failure | None]:
        return await Door(lambda: producer, Budget(9)).send("t", [message("0123456789")], 1.0)

    (failure,) = asyncio.run(story())
    assert isinstance(failure, TransientFailure)
    assert not producer.sent


def test_a_request_whose_time_ran_out_in_the_queue_is_not_produced_later() -> None:
    producer, entered, go_on = FakeProducer(), threading.Event(), threading.Event()

    def slow_open() -> FakeProducer:
        entered.set()
        go_on.wait(5)
        return producer

    budget = Budget(100)

    async def story() -> None:
        door = Door(slow_open, budget)
        first = asyncio.create_task(door.send("t", [message("first")], 5.0))
        await asyncio.to_thread(entered.wait, 5)
        (late,) = await door.send("t", [message("second")], 0.05)
        assert isinstance(late, TransientFailure)
        go_on.set()
        assert await first == [None]
        await asyncio.to_thread(door.close, 1.0)

    asyncio.run(story())
    assert [m.value for _, m in producer.sent] == [b"first"]
    assert budget.used == 0


def test_while_kafka_is_away_the_queue_does_not_wait_for_each_request_to_find_out() -> None:
    tries = []

    def fail() -> FakeProducer:
        tries.append(1)
        raise AWAY

    async def story() -> list[list[Failure | None]]:
        door = Door(fail, Budget(100), clock=lambda: 10.0)
        return [await door.send("t", [message("a")], 1.0) for _ in range(5)]

    assert asyncio.run(story()) == [[AWAY]] * 5
    assert len(tries) == 1


def test_a_broken_producer_is_replaced_at_the_next_request() -> None:
    producers = [FakeProducer(), FakeProducer()]
    left = iter(producers)

    async def story() -> None:
        door = Door(lambda: next(left), Budget(100))
        await door.send("t", [message("a")], 1.0)
        producers[0].broken = True
        assert await door.send("t", [message("b")], 1.0) == [None]

    asyncio.run(story())
    assert [len(p.sent) for p in producers] == [1, 1]
    assert producers[0].closed


def test_a_producer_that_does_not_settle_in_time_is_replaced_and_its_messages_are_let_go() -> None:
    stuck, good = FakeProducer(holding=True), FakeProducer()
    left, budget = iter([stuck, good]), Budget(100)

    async def story() -> None:
        door = Door(lambda: next(left), budget)
        (failure,) = await door.send("t", [message("a")], 1.0)
        assert isinstance(failure, TransientFailure)
        assert await door.send("t", [message("a")], 1.0) == [None]

    asyncio.run(story())
    assert stuck.closed == [0.0]


def test_closing_hands_over_what_is_queued_before_it_flushes() -> None:
    producer, go_on = FakeProducer(), threading.Event()

    def slow_open() -> FakeProducer:
        go_on.wait(5)
        return producer

    async def story() -> None:
        door = Door(slow_open, Budget(100))
        asked = [asyncio.create_task(door.send("t", [message(str(n))], 5.0)) for n in range(3)]
        await asyncio.sleep(0.02)
        closing = asyncio.create_task(asyncio.to_thread(door.close, 4.0))
        go_on.set()
        await closing
        assert await asyncio.gather(*asked) == [[None]] * 3

    asyncio.run(story())
    assert (len(producer.sent), producer.closed) == (3, [4.0])


def test_asking_a_broker_that_is_silent_ends_in_time() -> None:
    class Silent(FakeProducer):
        def reach(self, seconds: float) -> None:  # noqa: ARG002
            time.sleep(1.3)

    async def story() -> None:
        with pytest.raises(TransientFailure, match="no answer within"):
            await Door(Silent, Budget(1)).reach(-0.9)

    asyncio.run(story())


def test_health_says_why_the_producer_was_not_opened_though_to_find_out_takes_longer() -> None:
    go_on, at_last = threading.Event(), threading.Event()
    # Only the first try comes to its end: the reason is that one's, told while another is open.
    tries = iter([go_on, *[at_last] * 100])

    def slow() -> FakeProducer:
        next(tries).wait(10)
        raise AWAY

    async def story() -> None:
        door = Door(slow, Budget(100))
        # A second is added to what is asked for.
        with pytest.raises(TransientFailure, match="no answer"):
            await door.reach(-0.9)
        go_on.set()
        until = time.monotonic() + 5
        try:
            while True:
                with pytest.raises(TransientFailure) as caught:
                    await door.reach(-0.9)
                if "nobody answered" in str(caught.value):
                    break
                assert time.monotonic() < until, caught.value
        finally:
            at_last.set()

    asyncio.run(story())
