"""Passwords where somebody may look, and sockets where somebody may knock.

Everything of the stack runs here, a pipeline has run under its Dagster, and logins were refused:
what is said on a bad day is what leaks.
"""

from __future__ import annotations

import contextlib
import re
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import psutil
import pytest

from de_stack import partitions
from de_stack.contracts import load_stream
from de_stack.flow.bronze import bronze
from de_stack.local import postgres, processes, status
from de_stack.local import stack as local
from de_stack.local.state import write_private
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import CHAIN, materialize, measure, produce
from de_stack_tests.secured import watch

pytestmark = pytest.mark.alone

STREAM = load_stream("telemetry.measures")
OTHERS = ("daemon", "webserver", "code_server", "collector")
LOOPBACK = {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.fixture(scope="module")
def everything(stack: Settings) -> Iterator[Settings]:
    """All services but the generator; afterwards those that were not there are gone again."""
    state = stack.home / "state.json"
    before, ran = state.read_text(), {r.name for r in status.rows(stack.home) if r.pid}
    local.up(OTHERS)
    yield stack
    local.stop([name for name in OTHERS if name not in ran])
    write_private(state, before)


@pytest.fixture
def instance(everything: Settings) -> Iterator[dg.DagsterInstance]:
    """The stack's own Dagster, with its events in Postgres."""
    with dg.DagsterInstance.from_config(str(everything.home / "dagster")) as instance:
        yield instance


def family(home: Path) -> list[psutil.Process]:
    """Every process of the stack."""
    found = []
    for pid in processes.of_stack(home, postgres.data(local.site_of(home))):
        # A backend of Postgres comes and goes with its client.
        with contextlib.suppress(psutil.NoSuchProcess):
            found.append(psutil.Process(pid))
    return found


def passwords(home: Path) -> list[str]:
    return [path.read_text().strip().rpartition(":")[2] for path in (home / "secrets").iterdir()]


def shown(home: Path, instance: dg.DagsterInstance, settings: Settings) -> Iterator[tuple]:
    """(place, content) of all that people and programs beside the owner get to see."""
    for process in family(home):
        try:
            yield f"argv of {process.pid}", " ".join(process.cmdline()).encode()
            if process.name() != "postgres":
                yield f"environment of {process.pid}", str(process.environ()).encode()
        except psutil.NoSuchProcess:
            continue
    for folder in sorted(home.iterdir()):
        # The server's own files hold what its clients stored (below), and hashes of passwords.
        if folder.name not in ("secrets", "data"):
            yield from watch.files(folder)
    for database in ("dagster", "ledger", "serving"):
        yield from watch.rows(settings.need(f"{database}_dsn"), database)
    # Its pages are compressed in the files.
    rows = Lake(settings).query(bronze(settings, STREAM).uri, "select * from t").to_pylist()
    yield "bronze", str(rows).encode()


def addresses(good: str, canary: str) -> list[str]:
    """Addresses that do not work, each with the canary as its password or a part of it."""
    plain = good.partition("?")[0]
    user, _, place = plain.removeprefix("postgresql://").partition("@")
    return [
        f"{plain}?password={canary}",
        f"postgresql://{user}:{canary}@127.0.0.1:1/ledger",
        f"postgresql+psycopg2://{user}:{canary}@{place}",
        f"postgresql://{user}:no@{canary}@{place}",
    ]


@pytest.mark.naive("password_in_the_address")
def test_no_password_is_anywhere_after_a_pipeline_has_run_and_logins_were_refused(
    everything: Settings,
    instance: dg.DagsterInstance,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hour = partitions.floor(datetime.now(UTC), "hour")
    produce(settings, [measure("a", 1.0, datetime.now(UTC)), b"{"])
    materialize(["bronze_measures", "dead_measures"], hour, instance=instance)
    materialize(CHAIN, hour, instance=instance)

    canary = f"canary{secrets.token_hex(12)}"
    for name in ("ledger_dsn", "serving_dsn", "lake_uri", "spark_remote", "kafka_bootstrap"):
        monkeypatch.setenv(f"DE_STACK_{name.upper()}", settings.need(name))
    monkeypatch.setenv("DE_STACK_PROFILE", "external")
    failed = []
    for address in addresses(settings.need("ledger_dsn"), canary):
        monkeypatch.setenv("DE_STACK_LEDGER_DSN", address)
        done = materialize(["bronze_measures"], hour, instance=instance, raise_on_error=False)
        assert not done.success
        failed.append(done.run_id)
    monkeypatch.setenv("DE_STACK_PROFILE", "embedded")

    wanted = [*passwords(everything.home), canary]
    assert len(wanted) == 5
    assert min(map(len, wanted)) >= 24
    secret = re.compile("|".join(map(re.escape, wanted)).encode())
    places = dict(shown(everything.home, instance, settings))
    assert [where for where, content in places.items() if secret.search(content)] == []
    # It was looked at where the failures are told.
    told = places["dagster.public.event_logs"].decode()
    assert all(run_id in told for run_id in failed)
    assert "password authentication failed" in told
    assert "libpq cannot read the address" in told
    for part in ("state.json", "spark.log", "daemon.log", "_delta_log", "dagster.yaml"):
        assert any(part in where for where in places), part


def test_every_socket_of_every_service_listens_on_loopback_only(everything: Settings) -> None:
    listening: dict[str, set[str]] = {}
    of = processes.of_stack(everything.home, postgres.data(local.site_of(everything.home)))
    for pid, service in of.items():
        # A backend of Postgres comes and goes with its client.
        with contextlib.suppress(psutil.NoSuchProcess):
            for connection in psutil.Process(pid).net_connections(kind="inet"):
                if connection.status == psutil.CONN_LISTEN:
                    listening.setdefault(service, set()).add(connection.laddr.ip)
    assert listening.keys() >= {"postgres", "kafka", "spark", *OTHERS} - {"daemon"}
    assert {ip for ips in listening.values() for ip in ips} <= LOOPBACK, listening
