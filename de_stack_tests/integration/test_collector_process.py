"""The collector as a process: what survives its death. No other service is needed here."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from de_stack.resources.accepted import accepted_total

LIFE = """
import os, signal, sys
from pathlib import Path
from de_stack.sources.collector.meters import Meters
meters = Meters(Path(sys.argv[1]), lambda: 0)
for _ in range(int(sys.argv[2])):
    meters.accepted("telemetry.measures", 3)
meters.accepted("other.stream", 1)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_number_of_accepted_events_adds_up_over_lives_that_end_by_kill_9(
    tmp_path: Path,
) -> None:
    for rounds in (1000, 1, 50):
        life = [sys.executable, "-c", LIFE, str(tmp_path), str(rounds)]
        assert subprocess.run(life, check=False, timeout=30).returncode == -signal.SIGKILL
    assert accepted_total(tmp_path, "telemetry.measures") == 3 * 1051
    assert accepted_total(tmp_path, "other.stream") == 3


def test_without_kafka_it_runs_says_so_and_ends_cleanly(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    env = os.environ | {
        "DE_STACK_PROFILE": "external",
        "DE_STACK_KAFKA_BOOTSTRAP": "127.0.0.1:1",
        "DE_STACK_HOME": str(tmp_path),
        "DE_STACK_COLLECTOR_PORT": str(port),
    }
    command = [sys.executable, "-m", "de_stack.sources.collector"]
    with subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) as process:
        try:
            until = time.monotonic() + 60
            while True:
                try:
                    health = httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=5)
                    break
                except httpx.TransportError:
                    assert time.monotonic() < until
                    time.sleep(0.05)
            assert health.status_code == 503
            process.send_signal(signal.SIGTERM)
            log = process.communicate(timeout=15)[1]
        finally:
            process.kill()
    assert process.returncode == 0
    assert "flushed and closed" in log


def test_without_a_port_it_says_what_to_set(tmp_path: Path) -> None:
    env = {k: v for k, v in os.environ.items() if not k.startswith("DE_STACK_")}
    command = [sys.executable, "-m", "de_stack.sources.collector"]
    done = subprocess.run(
        command,
        env=env | {"DE_STACK_HOME": str(tmp_path)},
        check=False,
        timeout=30,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "set DE_STACK_COLLECTOR_PORT" in done.stderr
