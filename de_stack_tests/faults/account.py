"""What was sent into a stream, and what must have come out of it in the end.

Belongs here: sending, and the account at the end. Does not belong here: who works, what is killed.

The account is held against what was sent, not against the product's own counts alone: each event
once, with its value, in silver and in the sums that Postgres serves.
"""

from __future__ import annotations

import json
import math
import random
import time
import uuid
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from kafka import KafkaProducer

from de_stack import partitions
from de_stack.contracts import load_stream
from de_stack.flow import counts
from de_stack.flow.bronze import bronze
from de_stack.flow.refine import silver
from de_stack.resources.kafka import Kafka, client_options
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import measure, serving

STREAM = load_stream("telemetry.measures")
Event = tuple[str, float, datetime]


def checked_accounts(home: Path) -> Path:
    """Every account that was found right on these services, for `test_whole_list.py`.

    A line of JSON each: tests run in more than one process.
    """
    return home / "checked_accounts.jsonl"


class Account:
    """One namespace, whose only producer this is."""

    def __init__(self, settings: Settings, rng: random.Random) -> None:
        self.settings, self.rng = settings, rng
        self.sent: dict[str, Event] = {}
        self.dead = 0

    def event(self, hours: int) -> tuple[str, Event]:
        """(id, event) of one good row of the last hours."""
        back = timedelta(seconds=self.rng.uniform(60, 3600 * hours))
        at = datetime.now(UTC).replace(microsecond=0) - back
        event = (f"press-{self.rng.randrange(5)}", self.rng.uniform(-50, 50), at)
        return str(uuid.UUID(int=self.rng.getrandbits(128))), event

    def send(self, rows: int, hours: int = 3) -> None:
        """Send good rows of the last hours to Kafka, some of them twice, and some bad messages."""
        producer = KafkaProducer(**client_options(self.settings), acks="all")
        topic = self.settings.names.topic("telemetry", "measures")

        def put(key: str, event_id: str, value: bytes) -> None:
            producer.send(topic, value, key=key.encode(), headers=[("ce_id", event_id.encode())])

        for _ in range(rows):
            event_id, event = self.event(hours)
            value = json.dumps(measure(*event)).encode()
            put(event[0], event_id, value)
            self.sent[event_id] = event
            if self.rng.random() < 0.05:
                put(event[0], event_id, value)
            if self.rng.random() < 0.05:
                put(event[0], str(uuid.uuid4()), value[: self.rng.randrange(1, len(value))])
                self.dead += 1
        producer.flush(timeout=30)
        producer.close()

    def post(self, rows: int, hours: int = 3, patience_s: float = 90) -> int:
        """Give good rows to the collector, as a client that repeats what was not accepted.

        How often it had to repeat.
        """
        events = dict(self.event(hours) for _ in range(rows))
        body = [
            {"specversion": "1.0", "id": i, "source": "lab", "type": "t", "data": measure(*e)}
            for i, e in events.items()
        ]
        url = f"{self.settings.need('collector_url')}/v1/streams/{STREAM.name}"
        deadline, repeats = time.monotonic() + patience_s, 0
        while True:
            try:
                answer = httpx.post(
                    url,
                    json=body,
                    headers={"content-type": "application/cloudevents-batch+json"},
                    timeout=15,
                )
                if answer.status_code == 202:
                    break
                assert answer.status_code in (207, 503), answer.text
            except httpx.TransportError:
                pass
            assert time.monotonic() < deadline, "the collector never accepted the events"
            repeats += 1
            time.sleep(0.3)
        self.sent |= events
        return repeats

    @property
    def messages(self) -> int:
        """Messages in the topic: a client that repeats may leave more than it knows of."""
        state = Kafka(self.settings).topic_state(self.settings.names.topic("telemetry", "measures"))
        assert state
        return sum(state.end[p] - state.begin[p] for p in state.end)

    def check(self) -> None:
        """Every event that was sent is in every room, once, and its numbers are right."""
        self._check_bronze()
        self._check_silver()
        self._check_published()
        found = counts.count(self.settings, STREAM)
        assert found.settled, found
        assert found.agree, found
        assert (found.bronze, found.dead) == (self.messages, self.dead)
        assert found.silver == len(self.sent)
        line = {"namespace": self.settings.namespace, "sent": len(self.sent)}
        with checked_accounts(self.settings.home).open("a") as file:
            file.write(json.dumps(line | {"messages": self.messages}) + "\n")

    def _check_bronze(self) -> None:
        rows = Lake(self.settings).query(
            bronze(self.settings, STREAM).uri,
            'select partition, "offset" from t',
        )
        found = Counter(zip(*(column.to_pylist() for column in rows.columns), strict=True))
        twice = {position: n for position, n in found.items() if n > 1}
        assert not twice, f"offsets in bronze more than once: {dict(list(twice.items())[:5])}"
        assert len(found) == self.messages, f"{len(found)} rows landed of {self.messages}"

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
