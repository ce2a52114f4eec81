"""SIGKILL and SIGTERM to a collector at random moments, under load; the broker may be silent.

What it has answered for is in Kafka: what it accepted, and what it refused and said to keep.
"""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest

from de_stack.contracts.envelope import REJECTED
from de_stack.settings import Settings
from de_stack_tests.faults import naive
from de_stack_tests.integration.scenes import BATCH, a_scene, event_of, frozen_broker, ids_of

pytestmark = pytest.mark.alone

ROUNDS, SENDERS = 4, 3


class Sender(threading.Thread):
    """A client that sends batches, good and bad items mixed, and keeps what it was told of each."""

    def __init__(self, url: str, name: str, seed: int) -> None:
        super().__init__(daemon=True)
        self._url, self._name, self._rng = url, name, random.Random(f"{seed} {name}")
        self._over = threading.Event()
        self.accepted: set[str] = set()
        self.kept: set[str] = set()

    def run(self) -> None:
        number = 0
        with httpx.Client(timeout=20) as client:
            while not self._over.is_set():
                number += 1
                try:
                    self._send(client, number)
                except httpx.TransportError:
                    # Nobody answered: nothing is promised about these.
                    time.sleep(0.05)

    def _send(self, client: httpx.Client, number: int) -> None:
        batch = [event_of(f"{self._name}-{number}-{n}") for n in range(self._rng.randrange(1, 30))]
        for event in batch:
            if self._rng.random() < 0.2:
                event["data"]["value"] = "hot"
        answer = client.post(self._url, json=batch, headers=BATCH)
        assert answer.status_code in (202, 207, 503), answer.text
        for item in answer.json().get("items", []):
            if item["status"] == 202:
                self.accepted.add(item["id"])
            elif item.get("kept"):
                self.kept.add(item["id"])

    def end(self) -> None:
        self._over.set()
        self.join(40)


@pytest.mark.naive("answer_before_kafka_has_it")
def test_whatever_ends_a_collector_all_that_it_answered_for_is_in_kafka(
    stack: Settings, settings: Settings, seed: int, rng: random.Random, tmp_path: Path
) -> None:
    with a_scene(stack, tmp_path) as scene:
        scene.env["DE_STACK_TEST_NAIVE"] = json.dumps(naive.now())
        senders = [Sender(scene.url, f"s{n}", seed) for n in range(SENDERS)]
        for sender in senders:
            sender.start()
        for end in rng.sample([signal.SIGKILL, signal.SIGTERM] * (ROUNDS // 2), ROUNDS):
            process = scene.collector("de_stack_tests.faults.collector")
            time.sleep(rng.uniform(0.2, 1.5))
            silent = rng.random() < 0.5
            print(end.name, "while the broker is silent" if silent else "")
            with frozen_broker(stack) if silent else nullcontext():
                time.sleep(rng.uniform(0, 0.3))
                process.send_signal(end)
                time.sleep(0.2)
            assert process.wait(30) == (0 if end == signal.SIGTERM else -end)
        for sender in senders:
            sender.end()
        records = scene.records()
        refused = set(ids_of([r for r in records if REJECTED in dict(r.headers)]))
        good = set(ids_of([r for r in records if REJECTED not in dict(r.headers)]))
        accepted = set().union(*(sender.accepted for sender in senders))
        kept = set().union(*(sender.kept for sender in senders))
        print(f"{len(accepted)} accepted, {len(kept)} kept, {len(records)} in Kafka")
        assert len(accepted) > 100
        assert len(kept) > 10
        lost = (accepted - good) | (kept - refused)
        assert not lost, f"{len(lost)} of {len(accepted) + len(kept)} are not in Kafka"
        # Counted before the client hears of it, and only what Kafka has.
        assert len(accepted) <= scene.accepted() <= len(good)
        assert len(kept) <= scene.kept() <= len(refused)
