"""Collectors and generators as processes, in a namespace, home and port of their own.

Belongs here: starting them, what is in their topic, a broker that is silent. Does not belong here:
the collector's application in this process (`doors.py`), tests.
"""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from de_stack.contracts import load_all
from de_stack.local import supervisor
from de_stack.resources.accepted import accepted_total, kept_total
from de_stack.resources.kafka import ensure_topics
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import records

STREAM = "telemetry.measures"
EVENT = {"content-type": "application/cloudevents+json"}
BATCH = {"content-type": "application/cloudevents-batch+json"}


@dataclass
class Scene:
    """One collector's place: a namespace, home and port of its own on the session's Kafka."""

    settings: Settings
    env: dict[str, str]
    processes: list[subprocess.Popen] = field(default_factory=list)

    def start(self, *module_and_arguments: str) -> subprocess.Popen:
        """Start one of our programs; it is killed when the test ends."""
        command = [sys.executable, "-m", *module_and_arguments]
        self.processes.append(subprocess.Popen(command, env=self.env))
        return self.processes[-1]

    def collector(self, module: str = "de_stack.sources.collector") -> subprocess.Popen:
        """Start a collector and wait until it is healthy."""
        process = self.start(module)
        until = time.monotonic() + 60
        while time.monotonic() < until and process.poll() is None:
            try:
                url = f"{self.env['DE_STACK_COLLECTOR_URL']}/healthz"
                if httpx.get(url, timeout=5).status_code == 200:
                    return process
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        pytest.fail("the collector did not become healthy")

    def generator(self, *arguments: str) -> subprocess.Popen:
        """Start a generator."""
        return self.start("de_stack.sources.generator", "run", STREAM, *arguments)

    @property
    def topic(self) -> str:
        """The stream's topic in this namespace."""
        stream = load_all()[STREAM]
        return self.settings.names.topic(*stream.topic)

    def accepted(self) -> int:
        """How many events the collectors of this place have accepted."""
        return accepted_total(self.settings.home, self.topic)

    def kept(self) -> int:
        """How many events they have refused and kept."""
        return kept_total(self.settings.home, self.topic)

    @property
    def url(self) -> str:
        """Where events of the stream are sent to."""
        return f"{self.env['DE_STACK_COLLECTOR_URL']}/v1/streams/{STREAM}"

    def records(self) -> list[Any]:
        """Everything in the topic."""
        return records(self.settings, self.topic)


@contextmanager
def a_scene(stack: Settings, folder: Path) -> Iterator[Scene]:
    """A place with empty topics."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = stack.model_copy(
        update={"home": folder, "namespace": f"door_{secrets.token_hex(4)}"}
    )
    ensure_topics(settings)
    env = os.environ | {
        "DE_STACK_PROFILE": "external",
        "DE_STACK_HOME": str(folder),
        "DE_STACK_NAMESPACE": settings.namespace,
        "DE_STACK_KAFKA_BOOTSTRAP": settings.need("kafka_bootstrap"),
        "DE_STACK_COLLECTOR_PORT": str(port),
        "DE_STACK_COLLECTOR_URL": f"http://127.0.0.1:{port}",
    }
    scene = Scene(settings, env)
    try:
        yield scene
    finally:
        for process in scene.processes:
            process.kill()
            process.wait()


def broker_pid(stack: Settings) -> int:
    """Process id of the broker; `status` would measure the memory of all services first."""
    pid = supervisor.processes(stack.home)["kafka"]["pid"]
    assert pid, "the broker does not run"
    return pid


@contextmanager
def frozen_broker(stack: Settings) -> Iterator[None]:
    """The broker takes connections and bytes, and answers nothing, until the block ends."""
    pid = broker_pid(stack)
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


def ids_of(records: list[Any]) -> list[str]:
    """Event ids of Kafka records."""
    return [dict(r.headers)["ce_id"].decode() for r in records]


def event_of(event_id: str) -> dict[str, Any]:
    """A good CloudEvent of an id."""
    data = {"source_id": event_id[:2], "metric": "heat", "value": 1.0}
    data["measured_at"] = datetime.now(UTC).isoformat()
    return {"specversion": "1.0", "id": event_id, "source": "test", "type": "t", "data": data}
