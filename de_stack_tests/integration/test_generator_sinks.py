"""`de-stack generate` as a process, into a real broker and through a real collector."""

from __future__ import annotations

import json
import os
import re
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from de_stack.contracts import load_all
from de_stack.contracts.decode import decoder_for
from de_stack.local import stack as local
from de_stack.local import status
from de_stack.resources.accepted import accepted_total
from de_stack.resources.kafka import Kafka, ensure_topics
from de_stack.resources.kafka_messages import Message, read_range
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import records
from de_stack_tests.services import REPOSITORY

STREAM = load_all()["telemetry.measures"]
EXAMPLES = REPOSITORY / "docs" / "examples" / "generator"
SHARES = {"late": 0.05, "duplicate": 0.05, "malformed": 0.05, "out-of-order": 0.05, "future": 0.05}
FAULTS = [word for kind, share in SHARES.items() for word in (f"--{kind}", str(share))]


@dataclass
class Place:
    """A namespace, home and port of one's own on the session's Kafka."""

    settings: Settings
    env: dict[str, str]
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start one of our programs; it is killed when the test ends."""
        process = subprocess.Popen(
            [sys.executable, *command],
            env=self.env,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        self.processes.append(process)
        return process

    def generate(self, *arguments: str) -> dict[str, Any]:
        """The summary of a run that went well."""
        process = self.generator(*arguments)
        said, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        return json.loads(said)

    def generator(self, *arguments: str) -> subprocess.Popen[str]:
        """Start `de-stack generate`."""
        program = "from de_stack.cli import main; main()"
        return self.start("-c", program, "generate", *arguments, "--json")

    def collector(self) -> None:
        """Start a collector and wait until it is healthy."""
        self.start("-m", "de_stack.sources.collector")
        until = time.monotonic() + 30
        while time.monotonic() < until:
            try:
                url = f"{self.env['DE_STACK_COLLECTOR_URL']}/healthz"
                if httpx.get(url, timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.05)
        pytest.fail("the collector did not become healthy")

    @property
    def topic(self) -> str:
        """The stream's topic in this namespace."""
        return self.settings.names.topic(*STREAM.topic)

    def sent(self) -> int:
        """How many messages the stream's topic has."""
        state = Kafka(self.settings).topic_state(self.topic)
        assert state
        return sum(state.end.values())

    def messages(self, topic: str | None = None) -> list[Message]:
        """Everything in a topic, per partition in order."""
        state = Kafka(self.settings).topic_state(topic or self.topic)
        assert state
        return list(read_range(self.settings, topic or self.topic, state.begin, state.end))


@pytest.fixture
def place(stack: Settings, tmp_path: Path) -> Iterator[Place]:
    """A place with empty topics."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    namespace = f"gen_{secrets.token_hex(4)}"
    settings = stack.model_copy(update={"home": tmp_path, "namespace": namespace})
    ensure_topics(settings)
    env = os.environ | {
        "DE_STACK_PROFILE": "external",
        "DE_STACK_HOME": str(tmp_path),
        "DE_STACK_NAMESPACE": namespace,
        "DE_STACK_KAFKA_BOOTSTRAP": settings.need("kafka_bootstrap"),
        "DE_STACK_COLLECTOR_PORT": str(port),
        "DE_STACK_COLLECTOR_URL": f"http://127.0.0.1:{port}",
    }
    found = Place(settings, env)
    yield found
    for process in found.processes:
        process.kill()
        process.communicate()


def ids_of(messages: list[Any]) -> list[str]:
    return [(dict(m.headers)["ce_id"] or b"").decode() for m in messages]


def test_every_fault_that_the_summary_counts_is_in_kafka_and_is_what_it_says(place: Place) -> None:
    told = place.generate("--sink", "kafka", "--rate", "1000", "--count", "4000", *FAULTS)
    now = datetime.now(UTC)
    messages, faults = records(place.settings, place.topic), told["faults"]
    assert len(messages) == told["sent"] == 4000 + faults["duplicate"]
    ids = Counter(ids_of(messages))
    assert len(ids) == 4000
    assert sum(n - 1 for n in ids.values()) == faults["duplicate"] > 0
    decode = decoder_for(STREAM)
    codes: Counter[str | None] = Counter()
    late: set[str] = set()
    for message, event_id in zip(messages, ids_of(messages), strict=True):
        decoded = decode(message.value, now)
        codes[decoded.code] += 1
        if decoded.record:
            assert message.key == decoded.record["source_id"].encode()
            moment = decoded.record["measured_at"]
            hour = moment.replace(minute=0, second=0, microsecond=0)
            sent = datetime.fromtimestamp(message.timestamp / 1000, UTC)
            if sent > hour + timedelta(hours=1) + STREAM.allowed_lateness:
                late.add(event_id)
    forms = told["malformed_forms"]
    assert codes == {
        None: told["sent"] - faults["malformed"] - faults["future"],
        "in_future": faults["future"],
        "malformed": forms["broken_json"] + forms["invalid_utf8"],
        "wrong_type": forms["wrong_type"],
        "missing": forms["missing_field"],
    }
    assert len(late) == faults["late"] > 0
    assert min(faults.values()) > 100


def test_events_that_are_out_of_order_are_so_within_their_partition(place: Place) -> None:
    # A clock of its own: two events of one microsecond would be in either order.
    start = f"{datetime.now(UTC) - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"
    wish = ["--sink", "kafka", "--rate", "2000", "--count", "3000", "--out-of-order", "0.1"]
    told = place.generate(*wish, "--seed", "7", "--start", start, "--fast")
    latest: dict[tuple[int, bytes | None], str] = {}
    found = 0
    for message in place.messages():
        at = json.loads(message.value or b"")["measured_at"]
        of = message.partition, message.key
        found += at < latest.get(of, "")
        latest[of] = max(at, latest.get(of, ""))
    assert found == told["faults"]["out_of_order"] > 200


def test_the_door_refuses_what_is_wrong_and_takes_the_rest_and_that_is_no_error(
    place: Place,
) -> None:
    place.collector()
    told = place.generate("--sink", "http", "--rate", "1000", "--count", "3000", *FAULTS)
    assert told["refused"] == told["faults"]["malformed"] + told["faults"]["future"] > 0
    assert told["sent"] == 3000 + told["faults"]["duplicate"] - told["refused"]
    assert accepted_total(place.settings.home, place.topic) == told["sent"]
    decode, now = decoder_for(STREAM), datetime.now(UTC)
    taken = [m for m in place.messages() if decode(m.value, now).error is None]
    assert len(taken) == told["sent"]
    assert len(set(ids_of(taken))) == 3000 - told["refused"]


def test_the_same_seed_and_start_send_the_same_ids_again(place: Place) -> None:
    start = f"{datetime.now(UTC) - timedelta(minutes=1):%Y-%m-%dT%H:%M:%SZ}"
    wish = ["--sink", "kafka", "--count", "500", "--seed", "7", "--start", start, "--fast"]
    for _ in range(2):
        place.generate(*wish)
    messages = place.messages()
    assert set(Counter(ids_of(messages)).values()) == {2}
    assert set(Counter(m.value for m in messages).values()) == {2}


def test_the_first_generators_envelopes_come_through_the_door(place: Place) -> None:
    place.collector()
    wish = ["--config", str(EXAMPLES / "original.yaml"), "--sink", "http", "--rate", "200"]
    told = place.generate(*wish, "--count", "300", "--malformed", "0.1", "--duplicate", "0.1")
    assert told["refused"] == told["faults"]["malformed"] > 0
    decode, now = decoder_for(STREAM), datetime.now(UTC)
    taken = [m for m in place.messages() if decode(m.value, now).error is None]
    assert len(taken) == told["sent"]
    (metric, value) = (json.loads(taken[0].value or b"")[name] for name in ("metric", "value"))
    assert (metric, value) == ("TELEMETRY_MEASURE", 15)


@pytest.mark.parametrize("name", ["original.yaml", "greenhouse.yaml"])
def test_messages_of_a_files_own_go_to_a_topic_that_is_made_for_them(
    place: Place, name: str
) -> None:
    topic = f"{place.settings.namespace}.free"
    wish = ["--config", str(EXAMPLES / name), "--sink", "kafka", "--topic", topic]
    place.generate(*wish, "--rate", "1000", "--count", "50")
    messages = place.messages(topic)
    assert len(set(ids_of(messages))) == 50
    for message in messages:
        content = json.loads(message.value or b"")
        if name == "original.yaml":
            assert content["body"]["message"] == {"metric": "TELEMETRY_MEASURE", "value": 15}
            assert abs(content["body"]["timestamp"] - time.time()) < 60
            assert message.key is None
        else:
            assert message.key == content["device"]["id"].encode()


def test_a_topic_of_a_stream_that_is_not_there_is_not_made_in_passing(place: Place) -> None:
    place.env["DE_STACK_NAMESPACE"] = "nobody_made_it"
    process = place.generator("--sink", "kafka", "--count", "1")
    assert "`de-stack init` makes it" in process.communicate(timeout=60)[1]
    assert process.returncode == 1


def page_of(url: str) -> str:
    """A page, or why there is none yet."""
    try:
        return httpx.get(url, timeout=5).text
    except httpx.TransportError as error:
        return repr(error)


@pytest.mark.alone
def test_while_the_broker_is_silent_nothing_is_lost_and_the_same_events_come_again(
    place: Place, stack: Settings
) -> None:
    (pid,) = (row.pid for row in status.rows(stack.home) if row.name == "kafka")
    assert pid
    process = place.generator("--sink", "kafka", "--rate", "500", "--count", "4000")
    until = time.monotonic() + 60
    # An eighth: it is sending, and most is still to come.
    while place.sent() < 500:
        assert time.monotonic() < until and process.poll() is None, "it does not send"
        time.sleep(0.1)
    os.kill(pid, signal.SIGSTOP)
    try:
        # Longer than the client tries: its batch has to be sent again by another.
        time.sleep(7)
        while "sending again" not in (line := process.stderr.readline()):
            assert line, "it ended, and had not sent anything again"
    finally:
        os.kill(pid, signal.SIGCONT)
    said, errors = process.communicate(timeout=90)
    assert process.returncode == 0, errors
    told = json.loads(said)
    assert told["sent"] == told["made"] == 4000
    assert told["retried"] > 0 and told["skipped"] > 0
    assert len(set(ids_of(place.messages()))) == 4000


def test_the_supervised_generator_tells_its_counts_at_the_port_that_status_shows(
    tmp_path, monkeypatch
) -> None:
    # A stack of its own: what runs in the shared one is other tests' business.
    home = tmp_path / "home"
    monkeypatch.setenv("DE_STACK_HOME", str(home))
    try:
        local.up(["generator"])
        (row,) = (row for row in status.rows(home) if row.name == "generator")
        assert row.state == "running"
        url = f"http://127.0.0.1:{row.ports['generator']}/metrics"
        rated = [s.name for s in load_all().values() if s.generator_rate is not None]
        until = time.monotonic() + 30
        while True:
            page = page_of(url)
            sent = re.findall(r'generator_sent_total\{stream="(.+)"\} (.+)', page)
            if sent and all(float(number) > 0 for _, number in sent):
                break
            assert time.monotonic() < until, page
            time.sleep(0.1)
        assert sorted(name for name, _ in sent) == sorted(rated) != []
        for name in rated:
            assert f'generator_running{{stream="{name}"}} 1.0' in page
    finally:
        local.down(purge=True)
