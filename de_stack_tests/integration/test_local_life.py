"""One stack through its life: a taken port, every kind of kill, the end. Tests build on each other.

It has a home of its own, below a folder that only its owner may enter, as a home below /root is.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

import psycopg
import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer
from kafka.structs import TopicPartition

from de_stack.local import (
    ports,
    postgres,
    postgres_files,
    processes,
    registry,
    stack,
    state,
    status,
    supervisor,
    supervisor_calls,
)
from de_stack.local.stack import down, site_of, up
from de_stack.settings import Settings
from de_stack_tests.kills import kill_pids

SERVICES = ("postgres", "kafka", "spark")
TOPIC = "life.probe"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("life") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DE_STACK_HOME", str(folder))
        try:
            yield folder
        finally:
            down(purge=True)


def pid_of(home: Path, name: str) -> int:
    return next(row.pid or 0 for row in status.rows(home) if row.name == name)


def family(home: Path) -> dict[int, str]:
    return processes.of_stack(home, postgres.data(site_of(home)))


def write(home: Path) -> None:
    """Leave a row and a message."""
    settings = Settings()
    with psycopg.connect(settings.need("serving_dsn")) as db:
        db.execute("create table if not exists life (n int)")
        db.execute("insert into life values (1)")
    with closing(KafkaProducer(bootstrap_servers=settings.need("kafka_bootstrap"))) as producer:
        producer.send(TOPIC, b"1").get(timeout=20)


def read() -> tuple[int, int]:
    """(rows, messages) that are there."""
    settings = Settings()
    with psycopg.connect(settings.need("serving_dsn")) as db:
        rows = db.execute("select count(*) from life").fetchone()[0]
    consumer = KafkaConsumer(
        bootstrap_servers=settings.need("kafka_bootstrap"), consumer_timeout_ms=30_000
    )
    with closing(consumer):
        part = TopicPartition(TOPIC, 0)
        consumer.assign([part])
        consumer.seek_to_beginning()
        # Up to the end, however long the first one takes; fewer, if it never comes.
        return rows, sum(1 for _ in islice(consumer, consumer.end_offsets([part])[part]))


def test_up_moves_from_a_taken_port_and_says_so(home: Path) -> None:
    preferred = registry.SERVICES["postgres"].ports["postgres"]
    said: list[str] = []
    with closing(socket.socket()) as squatter:
        # Another stack has it: as good. While its Postgres begins again nobody listens there.
        with ports.reserving(home, stack._counts_on) as reserve:
            if reserve(preferred):
                squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # As it was asked.
                squatter.bind(("127.0.0.1", preferred))
                squatter.listen()
        took = up(SERVICES, said.append)
    assert took.keys() == set(SERVICES)
    moved = site_of(home).ports["postgres"]
    assert moved != preferred
    assert f"postgres: port {preferred} is taken by another process, moved to {moved}" in said
    with closing(KafkaAdminClient(bootstrap_servers=Settings().need("kafka_bootstrap"))) as admin:
        admin.create_topics({TOPIC: {"num_partitions": 1, "replication_factor": 1}})
    write(home)
    assert read() == (1, 1)


def test_as_root_a_private_home_puts_postgres_where_its_account_can_go(home: Path) -> None:
    if os.geteuid() != 0:
        assert postgres.data(site_of(home)) == home / "data" / "postgres"
        return
    assert postgres.data(site_of(home)).parent == postgres_files.outside(home)
    assert postgres.data(site_of(home)).owner() == "nobody"


def test_each_killed_service_is_started_again_by_the_supervisor_or_by_up(home: Path) -> None:
    before = {name: pid_of(home, name) for name in SERVICES}
    ports = dict(site_of(home).ports)
    kill_pids(before.values())
    up(SERVICES)
    after = {name: pid_of(home, name) for name in SERVICES}
    assert all(after[name] not in (0, before[name]) for name in SERVICES)
    assert site_of(home).ports == ports
    assert read() == (1, 1)
    write(home)


def test_after_kill_9_of_everything_up_heals(home: Path) -> None:
    # Spark stays as an orphan: nobody is left who knows it.
    # Who starts them again goes first: a process id says nothing about who is older.
    rest = {pid: name for pid, name in family(home).items() if name != "spark"}
    kill_pids(sorted(rest, key=lambda pid: rest[pid] != "supervisord"))
    (orphan,) = {pid for pid, name in family(home).items() if name == "spark"}
    assert [row.name for row in status.rows(home) if row.is_wrong] == list(SERVICES)
    said: list[str] = []
    up(SERVICES, said.append)
    assert "ending 1 left-over processes: spark" in said
    assert pid_of(home, "spark") != orphan
    assert orphan not in family(home)
    assert not [row.name for row in status.rows(home) if row.is_wrong]
    assert read() == (2, 2)


def test_a_service_that_cannot_start_is_told_with_its_last_words(home: Path) -> None:
    conf = postgres.data(site_of(home)) / "postgresql.conf"
    text = conf.read_text()
    supervisor.stop(home, "postgres")
    conf.write_text(text + "\nno_such_option = 1\n")
    try:
        with pytest.raises(Exception, match='(?s)start postgres: it ended.*"no_such_option"'):
            up(["postgres"])
    finally:
        conf.write_text(text)
    assert set(up(["postgres"])) == {"postgres"}


def test_down_leaves_no_process_and_remembers_the_ports(home: Path) -> None:
    pids = family(home)
    assert len(pids) > 5
    ports = dict(site_of(home).ports)
    down()
    assert family(home) == {}
    assert not [pid for pid in pids if Path(f"/proc/{pid}/cmdline").exists() and _cmdline(pid)]
    assert state.load(home)["ports"].items() <= ports.items()
    assert not [row for row in status.rows(home) if row.wanted or row.pid]
    assert not supervisor_calls.socket_path(home).exists()
    time.sleep(0.1)
    down()


def _cmdline(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def test_purge_removes_everything(home: Path) -> None:
    outside = postgres_files.outside(home)
    down(purge=True)
    assert not home.exists()
    assert not outside.exists()
    down(purge=True)
