"""The loop: its rate on an injected clock, and that nothing is lost while the sink is away."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from de_stack.contracts import load_all
from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.sources.generator.config import load_config
from de_stack.sources.generator.events import Event, Events
from de_stack.sources.generator.http_sink import Collector
from de_stack.sources.generator.run import LONGEST_WAIT, Generator, World
from de_stack.sources.generator.schedule import MAX_BATCH, Schedule
from de_stack.sources.generator.sinks import Sent

STREAM = load_all()["telemetry.measures"]
START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    """A time that passes only by sleeping (a little late, as real sleeps are) and by working."""

    def __init__(self, late: float = 0.0, until: float = 1e9) -> None:
        self.at, self.late, self.until, self.slept = 0.0, late, until, []

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds + self.late

    def world(self) -> World:
        """The clock as the generator sees it; the wish to stop comes at `until`."""
        return World(
            lambda: START + timedelta(seconds=self.at),
            lambda: self.at,
            self.sleep,
            lambda: self.at >= self.until,
        )


class FakeSink:
    """Keeps batches; fails as told, one entry of `plan` per call."""

    def __init__(self, clock: Clock, cost: float = 0.0, plan: Sequence[object] = ()) -> None:
        self.clock, self.cost, self.plan = clock, cost, list(plan)
        self.batches: list[list[Event]] = []
        self.calls: list[list[str]] = []

    def send(self, events: Sequence[Event]) -> Sent:
        self.clock.at += self.cost
        self.calls.append([e.id for e in events])
        step = self.plan.pop(0) if self.plan else None
        if isinstance(step, Exception):
            raise step
        taken = list(events) if step is None else list(events)[: int(str(step))]
        self.batches.append(taken)
        return Sent(list(events)[len(taken) :])

    def close(self) -> None:
        pass

    @property
    def sent(self) -> list[Event]:
        return [e for batch in self.batches for e in batch]


def generator(sink: FakeSink, rate: float) -> Generator:
    """A generator of measures."""
    events = Events(load_config(STREAM, None).shape, "1", START)
    return Generator(events, sink, rate, sink.clock.world())


@pytest.mark.parametrize("rate", [0.5, 1, 50, 333, 20_000])
def test_the_rate_is_kept_though_sleeps_end_late_and_sending_takes_time(rate: float) -> None:
    seconds = 60 if rate < 1000 else 2
    clock = Clock(late=0.013, until=seconds)
    sink = FakeSink(clock, cost=0.02)
    generator(sink, rate).run()
    assert len(sink.sent) == pytest.approx(seconds * rate, rel=0.01, abs=1 + 0.2 * rate)
    assert max(len(b) for b in sink.batches) <= MAX_BATCH
    assert min(clock.slept) >= 0


@given(st.floats(0.1, 5000), st.lists(st.floats(0, 0.2), max_size=200))
def test_due_events_add_up_to_the_rate_whatever_the_gaps(rate: float, gaps: list[float]) -> None:
    schedule, at, taken = Schedule(rate, 0.0), 0.0, 0
    for gap in gaps:
        at += gap
        taken += schedule.due(at)
    assert taken == pytest.approx(at * rate, abs=1.01 + max(0.0, 0.2 * rate))


def test_a_slow_rate_sleeps_until_the_next_event_not_every_tick() -> None:
    clock = Clock(until=20)
    generator(FakeSink(clock), 0.25).run()
    assert len(clock.slept) <= 8


def test_events_of_a_batch_are_spread_over_the_time_that_it_covers() -> None:
    clock = Clock(until=1)
    sink = FakeSink(clock)
    generator(sink, 100).run()
    times = [datetime.fromisoformat(e.time) for e in sink.sent]
    gaps = {(b - a) / timedelta(milliseconds=1) for a, b in zip(times, times[1:], strict=False)}
    assert gaps <= {9.0, 10.0, 11.0}, "RFC 3339 in whole milliseconds"
    assert times[-1] <= START + timedelta(seconds=1)


def test_exactly_count_events_are_sent() -> None:
    clock = Clock()
    sink = FakeSink(clock)
    generator(sink, 70).run(count=101)
    assert len({e.id for e in sink.sent}) == len(sink.sent) == 101


def test_a_sink_that_is_away_gets_the_same_events_again_until_it_takes_them() -> None:
    clock, away = Clock(), TransientFailure("send", "refused")
    sink = FakeSink(clock, plan=[None, away, away, away, 3, 0])
    generator(sink, 50).run(count=40)
    ids = [e.id for e in sink.sent]
    assert len(ids) == len(set(ids)) == 40
    assert sink.calls[1] == sink.calls[2] == sink.calls[3] == sink.calls[4]
    assert sink.calls[5] == sink.calls[4][3:] == sink.calls[6]


def test_waiting_for_a_sink_grows_to_a_limit_and_no_burst_follows() -> None:
    clock = Clock(until=200)
    sink = FakeSink(clock, plan=[TransientFailure("send", "refused")] * 20)
    generator(sink, 50).run()
    assert max(s for s in clock.slept) == LONGEST_WAIT
    assert max(len(b) for b in sink.batches) <= 50
    assert len(sink.sent) < 150 * 50


def test_a_sink_that_is_slow_for_a_while_is_caught_up_with() -> None:
    class Stalls(FakeSink):
        def send(self, events: Sequence[Event]) -> Sent:
            self.clock.at += 4.0 if 10 < self.clock.at < 11 else 0.0
            return super().send(events)

    clock = Clock(until=30)
    sink = Stalls(clock, cost=0.01)
    made = generator(sink, 5000)
    made.run()
    assert made.counts.skipped == 0
    assert len(sink.sent) == pytest.approx(30 * 5000, rel=0.01)


def test_a_sink_that_is_always_too_slow_is_told_as_lag_and_skipped_events() -> None:
    clock = Clock(until=60)
    made = generator(FakeSink(clock, cost=1.0), 5000)
    made.run()
    assert made.counts.skipped > 100_000
    assert made.counts.sent > 55 * MAX_BATCH
    skipped_and_made = made.counts.skipped + made.counts.made
    assert skipped_and_made == pytest.approx(60 * 5000, abs=11 * 5000)


def test_every_event_of_a_run_is_accounted_for() -> None:
    clock = Clock(until=0.2)
    made = generator(FakeSink(clock, plan=[TransientFailure("send", "refused")] * 99), 50)
    made.run(grace=5)
    assert made.counts.is_whole
    assert (made.counts.made, made.counts.sent, made.counts.undelivered) == (7, 0, 7)
    assert made.counts.retried > 7


def test_told_to_stop_it_delivers_what_is_under_way() -> None:
    clock = Clock(until=0.2)
    sink = FakeSink(clock, plan=[TransientFailure("send", "refused")] * 3)
    generator(sink, 50).run()
    assert [len(b) for b in sink.batches] == [7]


def test_told_to_stop_while_the_sink_is_gone_it_ends_all_the_same() -> None:
    clock = Clock(until=0.2)
    sink = FakeSink(clock, plan=[TransientFailure("send", "refused")] * 99)
    generator(sink, 50).run(grace=5)
    assert not sink.sent
    assert clock.at < 15


def http(answer: httpx.Response | Exception) -> Collector:
    """The HTTP sink before a collector that gives this answer."""

    def handle(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer

    requests.clear()
    client = httpx.Client(transport=httpx.MockTransport(handle))
    return Collector(client, "http://c/", "telemetry.measures")


requests: list[httpx.Request] = []
EVENTS = [Event("a", "2026-03-01T12:00:00.000Z", b'{"v": 1.50}'), Event("b", "t", b"{}")]


def test_events_go_out_as_a_batch_of_cloud_events_with_their_bytes_untouched() -> None:
    assert http(httpx.Response(202)).send(EVENTS) == Sent([])
    (request,) = requests
    assert str(request.url) == "http://c/v1/streams/telemetry.measures"
    assert request.headers["content-type"] == "application/cloudevents-batch+json"
    assert request.content.startswith(b'[{"specversion":"1.0","id":"a","source"')
    assert b'"data":{"v": 1.50}},{' in request.content


def test_what_was_refused_for_good_is_not_sent_again_what_was_not_taken_is() -> None:
    items = {"items": [{"id": "a", "status": 422}, {"id": "b", "status": 503}]}
    sent = http(httpx.Response(207, json=items)).send(EVENTS)
    assert (sent.again, sent.refused) == ([EVENTS[1]], 1)
    assert '"status": 422' in sent.first_refusal


@pytest.mark.parametrize(
    "answer",
    [httpx.Response(503), httpx.Response(500), httpx.Response(408), httpx.ConnectError("refused")],
)
def test_a_collector_that_cannot_now_is_asked_again(answer: httpx.Response | Exception) -> None:
    with pytest.raises(TransientFailure):
        http(answer).send(EVENTS)


@pytest.mark.parametrize("status", [400, 404, 415])
def test_a_collector_that_does_not_know_us_is_not_asked_again(status: int) -> None:
    with pytest.raises(PermanentFailure):
        http(httpx.Response(status)).send(EVENTS)
