"""What a user does with the secured systems: every step of the pipeline, as it is typed.

Belongs here: the steps and what came of them. Does not belong here: whether that is right (the
tests), the systems (`place.py`).
"""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from de_stack import partitions
from de_stack_tests.secured.place import Place
from de_stack_tests.secured.processes import free_ports

BIN = Path(sys.executable).parent
STREAM = "telemetry.measures"
WRONG = "s3cret-that-is-wrong-and-must-not-be-told-either"
ONCE = ("python", "-m", "de_stack.streaming", "run", "--once", "telemetry.live_measures")
BY_DOOR, BY_FILE, BY_GENERATOR, BAD = 120, 150, 100, 3


@dataclass
class Story:
    """A user at work. `said` is what each command has printed."""

    place: Place
    said: list[tuple[str, str]] = field(default_factory=list)
    refused: subprocess.CompletedProcess[str] | None = None
    counts: dict[str, Any] = field(default_factory=dict)
    # Looked at once: the hour may end while it is told.
    first: datetime = field(default_factory=lambda: _before_the_hour(datetime.now(UTC)))

    def type(self, *command: str, code: int = 0, **env: str) -> str:
        """Run a command, hold its exit code against `code`; what it has printed to stdout."""
        done = self.wait(self.begin(*command, **env))
        assert done.returncode == code, f"{command}: {done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stdout

    def begin(self, *command: str, **env: str) -> subprocess.Popen[str]:
        """Start a command, and do not wait for it."""
        return subprocess.Popen(
            [str(BIN / command[0]), *command[1:]],
            env=self.place.env | env,
            cwd=self.place.user,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait(self, process: subprocess.Popen[str]) -> subprocess.CompletedProcess[str]:
        """What has become of a command."""
        try:
            out, err = process.communicate(timeout=200)
        finally:
            process.kill()
        self.said.append((str(process.args), out + err))
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def begin_assets(self, assets: list[str], *when: str, **env: str) -> subprocess.Popen[str]:
        """Start `dagster asset materialize`."""
        select = " or ".join(f'key:"telemetry/{name}"' for name in assets)
        command = ("dagster", "asset", "materialize", "-m", "de_stack.definitions")
        return self.begin(*command, "--select", select, *when, **env)

    def assets(self, assets: list[str], *when: str, **env: str) -> None:
        """Materialize, and succeed."""
        done = self.wait(self.begin_assets(assets, *when, **env))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]

    def post(self, url: str, values: list[Any]) -> httpx.Response:
        """Send measures to the door; value by value a second later."""
        begin = self.first
        items = [_measure("door", v, begin + timedelta(seconds=i)) for i, v in enumerate(values)]
        return httpx.post(f"{url}/v1/streams/{STREAM}", json=items, timeout=30)


def _before_the_hour(now: datetime) -> datetime:
    """In the hour before: with the generator's events of now they are in two event hours.

    What begins here ends more than 27 minutes before the hour: live measures are kept for 15.
    """
    return partitions.floor(now, "hour") - timedelta(minutes=45)


def _measure(source: str, value: Any, at: datetime) -> dict[str, Any]:
    return {"source_id": source, "metric": "heat", "value": value, "measured_at": at.isoformat()}


def hour() -> str:
    """The open hour as a partition."""
    return partitions.key(partitions.floor(datetime.now(UTC), "hour"), "hour")


@contextmanager
def a_collector(story: Story, name: str, **env: str) -> Iterator[str]:
    """A collector as a process; its address."""
    (port,) = free_ports(1)
    url, crew = f"http://127.0.0.1:{port}", story.place.crew
    command = [sys.executable, "-m", "de_stack.sources.collector", "--port", str(port)]
    process = crew.start(name, command, story.place.env | env)

    crew.wait(name, lambda: _health(url) is not None)
    yield url
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def _health(url: str) -> int | None:
    """Status code of a collector's health; None while it says nothing."""
    try:
        return httpx.get(f"{url}/healthz", timeout=10).status_code
    except httpx.TransportError:
        return None


def tell(story: Story) -> None:
    """All of it, in order; a run with a wrong password beside the first steps: it mostly waits."""
    wrong = {"DE_STACK_KAFKA_SASL_PASSWORD": WRONG}
    locked_out = story.begin_assets(["bronze_measures"], "--partition", hour(), **wrong)
    try:
        _send(story)
    finally:
        story.refused = story.wait(locked_out)
    story.type(*ONCE, **story.place.classic)
    _land_and_mend(story)
    first = partitions.key(partitions.floor(story.first, "hour"), "hour")
    story.assets(
        ["silver_measures", "stats_measures", "published_stats_measures"],
        *("--partition-range", f"{first}...{hour()}"),
    )
    story.assets(["mart_daily_metrics", "published_mart_daily_metrics"])
    story.counts = json.loads(story.type("de-stack", "counts", "--json"))


def _send(story: Story) -> None:
    """By the door, from a file, from the generator."""
    assert f"topic {STREAM}: made" in story.type("de-stack", "init")
    file = story.place.user / "measures.csv"
    lines = ["source_id,metric,value,measured_at"]
    for i in range(BY_FILE):
        at = story.first + timedelta(seconds=7 * i)
        lines.append(f"file-{i % 3},heat,{math.sin(i) * 50},{at.isoformat()}")
    file.write_text("\n".join(lines) + "\n")
    generate = ("generate", STREAM, "--sink", "kafka", "--rate", "500", "--seed", "7", "--json")
    under_way = [
        story.begin("de-stack", "replay", STREAM, str(file), "--json"),
        story.begin("de-stack", *generate, "--count", str(BY_GENERATOR)),
    ]
    with a_collector(story, "collector") as url:
        # Three programs begin beside it: until its broker has let it in it says so with 503.
        story.place.crew.wait("collector", lambda: _health(url) == 200)
        good = story.post(url, [math.cos(i) * 20 for i in range(BY_DOOR)])
        assert {item["status"] for item in good.json()["items"]} == {202}, good.text
        bad = story.post(url, ["hot"] * BAD)
        assert [item["kept"] for item in bad.json()["items"]] == [True] * BAD, bad.text
    for process in under_way:
        done = story.wait(process)
        assert done.returncode == 0, done.stdout + done.stderr


def _land_and_mend(story: Story) -> None:
    """Landed by the Connect server; the dead letters sent again, and landed by a classic driver."""
    story.assets(["bronze_measures"], "--partition", hour())
    listed = ("de-stack", "dead-letters", "list", "--json", "--limit", "0")
    letters = json.loads(story.type(*listed))
    mended = story.place.user / "mended.ndjson"
    keys = ("topic_id", "partition", "offset", "value", "value_hex")
    with mended.open("w") as file:
        for letter in letters:
            kept = {key: letter[key] for key in keys}
            kept["value"] = kept["value"].replace('"hot"', "99.5")
            file.write(json.dumps(kept) + "\n")
    story.type("de-stack", "dead-letters", "replay", "--file", str(mended))
    story.assets(["bronze_measures"], "--partition", hour(), **story.place.classic)
