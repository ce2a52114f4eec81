"""The service: all streams in one process, none ends unnoticed; its counts for Prometheus."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from de_stack.contracts import load_all
from de_stack.failures import PermanentFailure
from de_stack.settings import Settings
from de_stack.sources.generator import __main__ as program
from de_stack.sources.generator import meters
from de_stack.sources.generator.counts import Counts
from de_stack.sources.generator.events import Event
from de_stack.sources.generator.job import Job, Wish, prepare
from de_stack.sources.generator.run import LONGEST_WAIT
from de_stack.sources.generator.service import run_all
from de_stack.sources.generator.sinks import Sent
from de_stack.sources.generator.summary import Summary

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Keeps:
    """A sink that keeps events; from `fails_at` on it will never take any."""

    def __init__(self, fails_at: int = 10**9) -> None:
        self.events: list[Event] = []
        self.fails_at, self.is_closed = fails_at, False

    def send(self, events: Sequence[Event]) -> Sent:
        if len(self.events) >= self.fails_at:
            raise PermanentFailure("send", "the door does not know the stream")
        self.events += events
        return Sent()

    def close(self) -> None:
        self.is_closed = True


def job(tmp_path: Path, sink: Any, **wish: Any) -> Job:
    """A job into a sink of ours."""
    settings = Settings(profile="external", home=tmp_path)
    return prepare(settings, Wish(**wish), NOW, lambda *_: lambda: sink)


def test_streams_run_side_by_side_each_at_its_rate(tmp_path: Path) -> None:
    slow, quick = Keeps(), Keeps()
    jobs = [
        job(tmp_path, slow, rate=20.0, count=10),
        job(tmp_path, quick, rate=2000.0, count=1000),
    ]
    begun = time.monotonic()
    found = run_all(jobs, threading.Event(), lambda _job: lambda _counts, _at: None)
    assert time.monotonic() - begun < 5
    assert [(s.counts.made, s.counts.sent, s.counts.is_whole, s.wrong) for s in found] == [
        (10, 10, True, ""),
        (1000, 1000, True, ""),
    ]
    assert (len(slow.events), len(quick.events)) == (10, 1000)
    assert slow.is_closed and quick.is_closed


def test_a_stream_that_fails_ends_the_process_and_the_others_deliver_what_they_made(
    tmp_path: Path,
) -> None:
    good, bad = Keeps(), Keeps(fails_at=20)
    jobs = [job(tmp_path, good, rate=200.0), job(tmp_path, bad, rate=200.0)]
    with pytest.raises(PermanentFailure, match="does not know the stream"):
        run_all(jobs, threading.Event(), lambda _job: lambda _counts, _at: None)
    assert len(good.events) == jobs[0].counts.made == jobs[0].counts.sent > 0
    assert jobs[1].counts.is_whole and jobs[1].counts.undelivered > 0
    assert not jobs[0].counts.is_running and not jobs[1].counts.is_running


def test_an_error_that_nobody_foresaw_ends_it_too(tmp_path: Path) -> None:
    class Broken(Keeps):
        def send(self, events: Sequence[Event]) -> Sent:
            raise ZeroDivisionError

    jobs = [job(tmp_path, Keeps(), rate=50.0), job(tmp_path, Broken(), rate=50.0)]
    with pytest.raises(ZeroDivisionError):
        run_all(jobs, threading.Event(), lambda _job: lambda _counts, _at: None)


def wishes(
    monkeypatch: pytest.MonkeyPatch, rates: dict[str, float | None], *args: str
) -> list[Wish]:
    """What the service makes of contracts with these rates."""
    one = load_all()["telemetry.measures"]
    streams = {
        name: replace(one, entity=name.partition(".")[2], generator_rate=rate)
        for name, rate in rates.items()
    }
    monkeypatch.setattr("de_stack.contracts.load_all", lambda: streams)
    parsed = program._parser().parse_args(["run", *args])
    return program._wishes(Settings(profile="external"), parsed)


def test_without_names_it_makes_every_stream_whose_contract_has_a_rate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rates = {"telemetry.a": 1.0, "telemetry.b": None, "telemetry.c": 2.0}
    assert [w.stream for w in wishes(monkeypatch, rates)] == ["telemetry.a", "telemetry.c"]
    assert [w.stream for w in wishes(monkeypatch, rates, "telemetry.b")] == ["telemetry.b"]
    assert wishes(monkeypatch, {"telemetry.b": None}) == []
    with pytest.raises(PermanentFailure, match="name the stream that it is for"):
        wishes(monkeypatch, rates, "--config", "x.yaml")
    with pytest.raises(PermanentFailure, match="named twice"):
        wishes(monkeypatch, rates, "telemetry.a", "telemetry.a")


def test_the_metrics_page_tells_all_counts_by_stream(tmp_path: Path) -> None:
    counts = Counts("a.b", 50.0, made=7, sent=5, refused=2, retried=3, skipped=4, bytes=99, lag=0.5)
    counts.is_running = True
    counts.faults["late"] = 2
    counts.forms["broken_json"] = 1
    counts.note(100.0)
    counts.sent += 20
    url = meters.serve(0, [counts, Counts("c.d", 1.0)], lambda: 102.0)
    assert url.startswith("http://127.0.0.1:")
    with urllib.request.urlopen(url) as answer:
        page = answer.read().decode()
    for line in (
        'made_total{stream="a.b"} 7.0',
        'sent_total{stream="a.b"} 25.0',
        'refused_total{stream="a.b"} 2.0',
        'retried_total{stream="a.b"} 3.0',
        'skipped_total{stream="a.b"} 4.0',
        'sent_bytes_total{stream="a.b"} 99.0',
        'faults_total{form="",kind="late",stream="a.b"} 2.0',
        'faults_total{form="broken_json",kind="malformed",stream="a.b"} 1.0',
        'rate_per_second{stream="a.b"} 10.0',
        'target_rate_per_second{stream="a.b"} 50.0',
        'lag_seconds{stream="a.b"} 0.5',
        'running{stream="a.b"} 1.0',
        'running{stream="c.d"} 0.0',
    ):
        assert f"de_stack_generator_{line}" in page
    port = int(url.split(":")[2].split("/")[0])
    with pytest.raises(PermanentFailure, match="give another --metrics-port"):
        meters.serve(port, [], time.monotonic)


def test_a_run_is_wrong_when_it_lost_events_or_good_ones_were_refused() -> None:
    def wrong(**counts: Any) -> str:
        faults = counts.pop("faults", {})
        found = Counts("a.b", 1.0, **counts)
        found.faults.update(faults)
        return Summary(found, 1.0, {}).wrong

    assert not wrong(made=5, sent=5)
    assert not wrong(made=5, sent=3, refused=2, faults={"malformed": 1, "future": 1})
    assert "1 events were refused" in wrong(made=5, sent=3, refused=2, faults={"malformed": 1})
    assert "2 events were made and could not" in wrong(made=5, sent=3, undelivered=2)


def start(tmp_path: Path, *arguments: str) -> subprocess.Popen[bytes]:
    """The program, writing into a file."""
    env = {k: v for k, v in os.environ.items() if not k.startswith("DE_STACK")}
    command = [sys.executable, "-m", "de_stack.sources.generator", "run", "telemetry.measures"]
    out = ["--sink", "file", "--out", str(tmp_path / "out")]
    return subprocess.Popen(
        [*command, *out, *arguments],
        env=env | {"DE_STACK_HOME": str(tmp_path)},
        stderr=subprocess.PIPE,
    )


def wait_for(what: Callable[[], bool], seconds: float = 30) -> None:
    until = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_whole_lines_and_all_that_was_held_back(
    tmp_path: Path, number: signal.Signals
) -> None:
    faults = ["--duplicate", "0.5", "--out-of-order", "0.3"]
    process = start(tmp_path, "--rate", "3000", *faults)
    out = tmp_path / "out"
    wait_for(lambda: out.exists() and out.stat().st_size > 100_000)
    process.send_signal(number)
    said = process.communicate(timeout=LONGEST_WAIT + 10)[1].decode()
    assert process.returncode == 0, said
    told = dict(w.split("=", 1) for w in said.splitlines()[-1].split() if "=" in w)
    lines = out.read_bytes()
    assert lines.endswith(b"}\n")
    assert lines.count(b"\n") == int(told["sent"])
    assert len(set(lines.splitlines())) == int(told["made"])


def test_its_metrics_are_on_loopback_and_nowhere_else(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    process = start(tmp_path, "--rate", "100", "--metrics-port", str(port))
    try:

        def page() -> str:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                    return answer.read().decode()
            except OSError:
                return ""

        wait_for(lambda: 'sent_total{stream="telemetry.measures"}' in page())
        import psutil

        listening = {
            c.laddr.ip
            for c in psutil.Process(process.pid).net_connections()
            if c.status == "LISTEN"
        }
        assert listening == {"127.0.0.1"}
    finally:
        process.terminate()
        assert process.wait(15) == 0
