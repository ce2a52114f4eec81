"""Ports that somebody else takes at the worst moment. Every stack here has a home of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import psycopg
import pytest
from kafka import KafkaAdminClient

from de_stack.local import ports, stack, state, supervisor
from de_stack.resources.accepted import accepted_total
from de_stack.settings import Settings

DE_STACK = Path(sys.executable).with_name("de-stack")


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[list[Path]]:
    """Folders for stacks; whatever was started in them is ended."""
    found = [tmp_path / "one", tmp_path / "two"]
    yield found
    for process in [command(home, "down", "--purge") for home in found]:
        process.communicate(timeout=120)


def command(home: Path, *arguments: str) -> subprocess.Popen[str]:
    """The command line, as somebody types it for a home."""
    return subprocess.Popen(
        [DE_STACK, *arguments],
        env=os.environ | {"DE_STACK_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_stacks_that_start_in_the_same_second_get_ports_of_their_own(homes: list[Path]) -> None:
    started = [command(home, "up", "postgres", "kafka") for home in homes]
    for process in started:
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said
        # They were told apart when they chose, not by one of them failing.
        assert "choosing again" not in said
    one, two = (set(state.load(home)["ports"].values()) for home in homes)
    assert (len(one), len(two), one & two) == (3, 3, set())
    clusters = set()
    for home in homes:
        settings = Settings(home=home)
        # Each has passwords of its own: a Postgres of the other home would refuse.
        with psycopg.connect(settings.need("ledger_dsn"), connect_timeout=5) as db:
            assert db.execute("select current_user").fetchone() == ("ledger",)
        address = settings.need("kafka_bootstrap")
        with closing(KafkaAdminClient(bootstrap_servers=address)) as admin:
            clusters.add(admin.describe_cluster()["cluster_id"])
    assert len(clusters) == 2


def test_a_service_that_is_down_keeps_its_port_as_long_as_its_stack_is_up(
    homes: list[Path],
) -> None:
    def typed(home: Path, *arguments: str) -> set[int]:
        process = command(home, *arguments)
        said, _ = process.communicate(timeout=240)
        assert process.returncode == 0, said
        return set(state.load(home)["ports"].values())

    one, other = homes
    kept = typed(one, "up", "postgres")
    # The middle of a restart, made long.
    supervisor.stop(one, "postgres")
    assert not kept & typed(other, "up", "postgres")
    assert typed(one, "up", "postgres") == kept


@pytest.fixture
def alone(homes: list[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """One home, for stacks that are started in this process."""
    monkeypatch.setenv("DE_STACK_HOME", str(homes[0]))
    return homes[0]


class Anything(BaseHTTPRequestHandler):
    """Answers every question with 200, as a collector of another stack would."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"not yours")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def squatter(port: int) -> Iterator[None]:
    """Somebody else's server at a port."""
    with ThreadingHTTPServer(("127.0.0.1", port), Anything) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()


def test_a_port_that_is_taken_after_it_was_chosen_is_not_believed_to_be_ours_and_up_moves(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[int] = []
    choose = ports.choose

    with ExitStack() as squatters:

        def and_take(*arguments: Any) -> tuple[dict[str, int], list[str]]:
            found = choose(*arguments)
            chosen.append(found[0]["collector"])
            if len(chosen) == 1:
                squatters.enter_context(squatter(chosen[0]))
            return found

        monkeypatch.setattr(ports, "choose", and_take)
        said: list[str] = []
        assert "collector" in stack.up(["collector"], said.append)
        first, second = chosen
        taken = f"port {first} was taken by process {os.getpid()} ("
        assert any(taken in line and "choosing again" in line for line in said), said
        assert f"collector: port {first} is taken by another process, moved to {second}" in said
        url = Settings().need("collector_url")
        assert url.endswith(f":{second}")
        assert httpx.get(f"{url}/healthz").json() == {"status": "ok"}


def test_up_gives_up_when_every_port_that_it_chooses_is_taken(
    alone: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    choose = ports.choose
    with ExitStack() as squatters:

        def and_take(*arguments: Any) -> tuple[dict[str, int], list[str]]:
            found = choose(*arguments)
            squatters.enter_context(squatter(found[0]["postgres"]))
            return found

        monkeypatch.setattr(ports, "choose", and_take)
        with pytest.raises(ports.PortTaken, match=rf"taken by process {os.getpid()} .*de-stack up"):
            stack.up(["postgres"])
    # Nobody is in the way now.
    monkeypatch.undo()
    monkeypatch.setenv("DE_STACK_HOME", str(alone))
    assert set(stack.up(["postgres"])) == {"postgres"}


def test_a_port_that_was_lost_while_its_service_was_down_is_given_up(alone: Path) -> None:
    stack.up(["postgres"])
    port = stack.site_of(alone).ports["postgres"]
    kept = supervisor.processes(alone)["postgres"]["pid"]
    keeper = psutil.Process(psutil.Process(kept).ppid())
    # The supervisor would start it again before anybody else could come to listen there.
    keeper.suspend()
    psutil.Process(kept).kill()
    while not ports.is_free(port):
        time.sleep(0.05)
    with squatter(port):
        keeper.resume()
        said: list[str] = []
        assert set(stack.up(["postgres"], said.append)) == {"postgres"}
        moved = stack.site_of(alone).ports["postgres"]
        assert f"postgres: port {port} is taken by another process, moved to {moved}" in said
        with psycopg.connect(Settings().need("ledger_dsn"), connect_timeout=5) as db:
            assert db.execute("select current_user").fetchone() == ("ledger",)


def test_when_the_collector_moves_the_generator_that_runs_follows_it(alone: Path) -> None:
    stack.up(["generator"])
    old = stack.site_of(alone).ports["collector"]
    stack.stop(["collector"])
    with squatter(old):
        said: list[str] = []
        assert set(stack.up(["collector"], said.append)) == {"collector", "generator"}
    assert "restarting, too, what follows: generator" in said
    assert not Settings().need("collector_url").endswith(f":{old}")
    before = accepted_total(alone, "telemetry.measures")
    deadline = time.monotonic() + 30
    while accepted_total(alone, "telemetry.measures") == before:
        assert time.monotonic() < deadline, "nothing arrives at the collector's new address"
        time.sleep(0.2)
