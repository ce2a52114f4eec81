"""A stream under faults: what was sent, who works on it, what must have come out in the end.

Belongs here: sending, workers, killing services, the account at the end. Does not belong here: a
fault.

The account is held against what was sent, not against the product's own counts alone: each event
once, with its value, in silver and in the sums that Postgres serves.
"""

from __future__ import annotations

import json
import math
import os
import random
import signal
import threading
import time
import uuid
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta

from kafka import KafkaProducer

from de_stack import partitions
from de_stack.contracts import load_stream
from de_stack.flow import counts
from de_stack.flow.bronze import bronze
from de_stack.flow.refine import silver
from de_stack.local import stack as local
from de_stack.local import status
from de_stack.resources.kafka import Kafka, client_options
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.faults import naive
from de_stack_tests.faults.worker import Outcome, Worker
from de_stack_tests.integration.pipeline import measure, serving

STREAM = load_stream("telemetry.measures")
Event = tuple[str, float, datetime]


class Lab:
    """One namespace, whose only producer this is."""

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self.settings, self.rng = settings, rng
        self.sent: dict[str, Event] = {}
        self.messages = self.dead = self.duplicates = 0
        self.hour = partitions.floor(datetime.now(UTC), "hour")
        self._spare: Worker | None = self._worker()

    def _worker(self) -> Worker:
        return Worker({"DE_STACK_TEST_NAIVE": json.dumps(naive.now())})

    def worker(self, step: str) -> Worker:
        """A worker that has just begun a step; the next one warms up meanwhile."""
        ready, self._spare = self._spare or self._worker(), None
        ready.go(step)
        self._spare = self._worker()
        return ready

    def run(self, step: str) -> Outcome:
        """Let a worker do a step to its end."""
        return self.worker(step).end()

    def end(self) -> None:
        """End the worker that waits."""
        if self._spare:
            self._spare.kill()
            self._spare.end()

    def pick(self, low: float, high: float) -> float:
        return self.rng.uniform(low, high)

    def send(self, rows: int, hours: int = 3) -> None:
        """Send good rows of the last hours, some of them twice, and some bad messages."""
        producer = KafkaProducer(**client_options(self.settings), acks="all")
        topic = self.settings.names.topic("telemetry", "measures")

        def put(key: str, event_id: str, value: bytes) -> None:
            producer.send(topic, value, key=key.encode(), headers=[("ce_id", event_id.encode())])
            self.messages += 1

        for _ in range(rows):
            back = timedelta(seconds=self.rng.uniform(60, 3600 * hours))
            at = datetime.now(UTC).replace(microsecond=0) - back
            event: Event = (f"press-{self.rng.randrange(5)}", self.rng.uniform(-50, 50), at)
            event_id = str(uuid.UUID(int=self.rng.getrandbits(128)))
            value = json.dumps(measure(*event)).encode()
            put(event[0], event_id, value)
            self.sent[event_id] = event
            if self.rng.random() < 0.05:
                put(event[0], event_id, value)
                self.duplicates += 1
            if self.rng.random() < 0.05:
                put(event[0], str(uuid.uuid4()), value[: self.rng.randrange(1, len(value))])
                self.dead += 1
        producer.flush(timeout=30)
        producer.close()

    def pid(self, service: str) -> int:
        """Process id of a service."""
        found = {row.name: row.pid for row in status.rows(self.settings.home)}[service]
        assert found, f"{service} does not run"
        return found

    def kill(self, service: str) -> None:
        """SIGKILL to a service's first process; supervisord starts it again."""
        os.kill(self.pid(service), signal.SIGKILL)

    def ready(self, *services: str) -> None:
        """Wait until services that were killed answer again."""
        # `up` would remember the namespace of this test for the whole stack.
        kept = os.environ.pop("DE_STACK_NAMESPACE")
        try:
            local.up(list(services))
        finally:
            os.environ["DE_STACK_NAMESPACE"] = kept

    def settle(self, tries: int = 2) -> None:
        """Let workers work until nothing waits. A failed one is the fault's; the last must not be.

        The next tick mends what a fault broke: more than one that fails by itself is a defect.
        """
        for attempt in range(tries):
            done = self.run("tick")
            if done.is_good:
                return
            assert attempt < tries - 1, f"the tick after the fault failed: {done.said[-6000:]}"

    def check(self) -> None:
        """Every event that was sent is in every room, once, and its numbers are right."""
        self._check_bronze()
        self._check_silver()
        self._check_published()
        found = counts.count(self.settings, STREAM)
        assert found.settled, found
        assert found.agree, found
        assert (found.bronze, found.dead) == (self.messages, self.dead)
        assert (found.duplicates, found.silver) == (self.duplicates, len(self.sent))

    def _check_bronze(self) -> None:
        topic = self.settings.names.topic("telemetry", "measures")
        state = Kafka(self.settings).topic_state(topic)
        assert state
        rows = Lake(self.settings).query(
            bronze(self.settings, STREAM).uri,
            'select partition, "offset" from t',
        )
        found = Counter(zip(*(column.to_pylist() for column in rows.columns), strict=True))
        twice = {position: n for position, n in found.items() if n > 1}
        assert not twice, f"offsets in bronze more than once: {dict(list(twice.items())[:5])}"
        # Transactions and retried batches leave offsets without a message.
        past = [place for place in found if place[1] >= state.end[place[0]]]
        assert not past, f"offsets that the topic does not have: {past[:5]}"
        assert len(found) == self.messages, f"{len(found)} rows in bronze, {self.messages} sent"

    def _check_silver(self) -> None:
        rows = (
            Lake(self.settings)
            .query(
                silver(self.settings, STREAM).uri,
                "select event_id, source_id, value, measured_at from t",
            )
            .to_pylist()
        )
        ids = Counter(row["event_id"] for row in rows)
        assert max(ids.values(), default=1) == 1, "events in silver more than once"
        lost = self.sent.keys() - ids.keys()
        assert not lost, f"{len(lost)} of {len(self.sent)} events are not in silver"
        assert not ids.keys() - self.sent.keys(), "silver has events that nobody sent"
        for row in rows:
            source, value, at = self.sent[row["event_id"]]
            assert (row["source_id"], row["value"]) == (source, value)
            assert row["measured_at"] == at

    def _check_published(self) -> None:
        wanted: dict[tuple[str, datetime], list[float]] = defaultdict(list)
        for source, value, at in self.sent.values():
            wanted[source, partitions.floor(at, "hour")].append(value)
        rows = serving(
            self.settings,
            "select source_id, date_trunc('hour', window_start, 'UTC'), sum(count)::bigint, "
            f"sum(count * mean) from {self.settings.names.schema('telemetry')}.stats_measures "
            "group by 1, 2",
        )
        found = {(source, hour): (count, total) for source, hour, count, total in rows}
        assert {k: v[0] for k, v in found.items()} == {k: len(v) for k, v in wanted.items()}
        for key, values in wanted.items():
            assert math.isclose(found[key][1], math.fsum(values), rel_tol=1e-9, abs_tol=1e-6)


class Reader(threading.Thread):
    """Somebody who looks at the served table all the time, and keeps what it saw of each hour."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(daemon=True)
        self._settings, self._stop = settings, threading.Event()
        self.seen: set[tuple[datetime, int]] = set()
        self.looks = 0

    def run(self) -> None:
        from de_stack.failures import TransientFailure

        schema = self._settings.names.schema("telemetry")
        sql = (
            "select date_trunc('hour', window_start, 'UTC'), sum(count)::bigint "
            f"from {schema}.stats_measures group by 1"
        )
        while not self._stop.is_set():
            try:
                self.seen |= set(serving(self._settings, sql))
                self.looks += 1
            except TransientFailure:
                time.sleep(0.05)

    def end(self) -> None:
        self._stop.set()
        self.join(30)
