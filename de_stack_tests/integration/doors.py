"""The collector's application in this process, on the real broker.

Belongs here: the door and its counters. Does not belong here: the collector as a process
(`test_collector_kafka.py`), tests.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count

import httpx

from de_stack.contracts import load_stream
from de_stack.contracts.decode import decoder_for
from de_stack.contracts.normalise import normaliser_for
from de_stack.resources.kafka import client_options
from de_stack.settings import Settings
from de_stack.sources.collector.app import make_app
from de_stack.sources.collector.check import Check
from de_stack.sources.collector.door import Door
from de_stack.sources.collector.kafka_producer import KafkaSender
from de_stack.sources.collector.receive import Entrance, Limits, Receiver
from de_stack.sources.collector.under_way import Budget
from de_stack_tests.fakes import FakeMeters

STREAM = load_stream("telemetry.measures")


@dataclass
class Collector:
    """The collector's application on the real broker, and what it counts."""

    settings: Settings

    def __post_init__(self) -> None:
        budget, self.meters, made = Budget(64 << 20), FakeMeters(), count()
        self.door = Door(lambda: KafkaSender(client_options(self.settings)), budget)
        topic = self.settings.names.topic(*STREAM.topic)
        check = Check(STREAM, decoder_for(STREAM), normaliser_for(STREAM))
        receiver = Receiver(
            {STREAM.name: Entrance(topic, check, STREAM)},
            self.door,
            self.meters,  # type: ignore[arg-type]
            Limits(),
            lambda: datetime.now(UTC),
            lambda: f"made-{next(made)}",
        )
        self._app = make_app(receiver, budget)

    def post(self, content: bytes, **headers: str) -> httpx.Response:
        """Send a body as an HTTP client does; `_` in a header's name is `-`."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}

        async def call() -> httpx.Response:
            transport = httpx.ASGITransport(self._app)
            async with httpx.AsyncClient(transport=transport, base_url="http://c") as client:
                url = f"/v1/streams/{STREAM.name}"
                return await client.post(
                    url, content=content, headers={"content-type": "application/json"} | named
                )

        return asyncio.run(call())

    def close(self) -> None:
        self.door.close(5)
