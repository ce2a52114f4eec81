"""A commit file that lost its end: refused by the next reader and the next writer, then repaired.

A machine that loses power leaves such files. Spark reads one of no bytes as a commit without rows,
and its next append buries it: half the rows gone, without an error.
"""

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from kafka.structs import TopicPartition

from de_stack import partitions
from de_stack.contracts import load_stream
from de_stack.defs.telemetry import serve
from de_stack.failures import PermanentFailure
from de_stack.flow import counts, land
from de_stack.flow.bronze import bronze
from de_stack.flow.dead_letters import enter_letters
from de_stack.flow.refine import refine, silver
from de_stack.flow.repair import repair
from de_stack.flow.tables import Table
from de_stack.resources.kafka import Kafka
from de_stack.setting_sources import ADDRESSES, variable
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import (
    CHAIN,
    enter_namespace,
    materialize,
    measure,
    produce,
    serving,
    session,
)
from de_stack_tests.seeds import SEEDS
from de_stack_tests.sessions import close_session

STREAM = load_stream("telemetry.measures")
HOUR = partitions.floor(datetime.now(UTC), "hour") - timedelta(hours=2)
# What is left of the commit file.
HOWS = ("nothing", "half", "a line")


def send(settings: Settings, rows: int, at: datetime = HOUR) -> None:
    produce(settings, [measure("a", float(i), at + timedelta(seconds=i)) for i in range(rows)])


def cut(table: Table, how: str, keep_checksums: bool, back: int = 0) -> None:
    """Shorten the newest commit file, or one before it, as a lost power supply does."""
    newest = sorted((Path(table.uri) / "_delta_log").glob("*.json"))[-1 - back]
    text = newest.read_bytes()
    lines = text.splitlines(keepends=True)
    newest.write_bytes({"nothing": b"", "half": text[: len(text) // 2], "a line": lines[0]}[how])
    if not keep_checksums:
        for checksum in newest.parent.glob(f"*{newest.stem}*crc"):
            checksum.unlink()


@pytest.fixture
def cold_spark(tmp_path: Path) -> Iterator[Callable[[pytest.MonkeyPatch], None]]:
    """What a power loss leaves of Spark: a warm server still knows a commit as it was.

    Calling it leads everything of this process to a server that has just been started.
    """
    environment = os.environ | {"DE_STACK_HOME": str(tmp_path / "cold"), "DE_STACK_NAMESPACE": ""}

    def de_stack(*words: str) -> str:
        done = subprocess.run(
            [str(Path(sys.executable).parent / "de-stack"), *words],
            env=environment,
            check=True,
            capture_output=True,
            text=True,
            timeout=240,
        )
        return done.stdout

    def enter(patch: pytest.MonkeyPatch) -> None:
        known = Settings()
        de_stack("up", "spark")
        (port,) = (
            row["ports"]["spark"]
            for row in json.loads(de_stack("status", "--json"))["services"]
            if row["name"] == "spark"
        )
        close_session()
        patch.setenv("DE_STACK_PROFILE", "external")
        for name in ADDRESSES:
            if getattr(known, name) is not None:
                patch.setenv(variable(name), known.need(name))
        patch.setenv("DE_STACK_SPARK_REMOTE", f"sc://127.0.0.1:{port}")
        met = session(Settings())().conf.get("spark.connect.grpc.binding.port")
        assert met == str(port), "the session is the warm server's"

    yield enter
    close_session()
    de_stack("down", "--purge")


@pytest.mark.naive("an_empty_commit_is_a_commit")
def test_cut_tables_are_refused_by_all_and_filled_again_after_the_repair(
    settings, monkeypatch, cold_spark
) -> None:
    seed, mark = SEEDS[0], os.urandom(3).hex()
    print(f"DE_STACK_TEST_SEED={seed}")
    rng = random.Random(seed)
    cuts = {f"c{mark}_{i}": cut for i, cut in enumerate(product(HOWS, (True, False)))}
    lost = several_landings(enter_namespace(monkeypatch, f"several_{mark}"), rng)
    print(f"several_{mark}: two of the last three commits, {lost} rows")
    readers = {"silver": "stats_measures", "stats": "published_stats_measures"}
    for name, (how, keep_checksums) in cuts.items():
        print(f"{name}: {how} is left, checksums {'stay' if keep_checksums else 'go'}")
        a_landing(enter_namespace(monkeypatch, name), how, keep_checksums)
    for of, reader in readers.items():
        settings = enter_namespace(monkeypatch, f"d{mark}_{of}")
        a_derivation(settings, of, reader, rng.choice(HOWS), rng.choice([True, False]))
    cold_spark(monkeypatch)
    for name in cuts:
        print(name)
        settings = enter_namespace(monkeypatch, name)
        produce(settings, [b"{"])
        land.land(settings, STREAM, session(settings), "after")
        found = counts.count(settings, STREAM)
        assert (found.bronze, found.waiting, found.dead) == (32, 0, 2)
        assert enter_letters(settings, STREAM, "after").open == 2
    settings = enter_namespace(monkeypatch, f"several_{mark}")
    send(settings, 1)
    assert land.land(settings, STREAM, session(settings), "after").rows == lost + 1
    found = counts.count(settings, STREAM)
    assert (found.bronze, found.waiting, found.dead) == (41, 0, 0)
    for of in readers:
        settings = enter_namespace(monkeypatch, f"d{mark}_{of}")
        send(settings, 1)
        materialize(["bronze_measures"], HOUR)
        materialize(CHAIN, HOUR)
        schema = settings.names.schema("telemetry")
        assert serving(settings, f"select sum(count) from {schema}.stats_measures") == [(13,)]
        found = counts.count(settings, STREAM)
        assert found.settled
        assert found.agree


def a_landing(settings: Settings, how: str, keep_checksums: bool) -> None:
    """Cut, refused by who reads and who writes, and repaired."""
    produce(settings, [b"{"])
    for run in ("first", "second"):
        send(settings, 10)
        land.land(settings, STREAM, session(settings), run)
        if run == "first":
            # Letters are entered when there are some: the repair lies between two entries.
            assert enter_letters(settings, STREAM, run).open == 1
    table = bronze(settings, STREAM)
    cut(table, how, keep_checksums)
    send(settings, 10)
    tries: list[Callable[[], object]] = [
        lambda: counts.count(settings, STREAM),
        lambda: land.land(settings, STREAM, session(settings), "third"),
        lambda: refine(settings, STREAM, HOUR, HOUR, session(settings), "r"),
    ]
    for attempt in (*tries, *tries):
        with pytest.raises(PermanentFailure, match="read (commit 2|the log) of"):
            attempt()

    done = repair(settings, table, "repair")
    assert done is not None
    assert (done.first, done.last) == (2, 2)
    assert repair(settings, table, "again") is None


def several_landings(settings: Settings, rng: random.Random) -> int:
    """Two of three commits are cut; the slice that is whole between or behind them goes as well.

    Gives the number of rows that they held.
    """
    for run in range(4):
        send(settings, 10)
        land.land(settings, STREAM, session(settings), f"run {run}")
    table = bronze(settings, STREAM)
    places = rng.sample([2, 1, 0], 2)
    for back in places:
        cut(table, rng.choice(HOWS), rng.choice([True, False]), back)
    with pytest.raises(PermanentFailure, match="read (commit|the log)"):
        land.land(settings, STREAM, session(settings), "refused")
    done = repair(settings, table, "repair")
    assert done is not None
    assert (done.first, done.last, done.hours) == (4 - max(places), 4, 1)
    assert repair(settings, table, "again") is None
    return 10 * (max(places) + 1)


def a_derivation(settings: Settings, of: str, reader: str, how: str, keep_checksums: bool) -> None:
    """Cut, refused by its writer and by who reads it, and repaired."""
    for rows in (5, 7):
        send(settings, rows)
        materialize(["bronze_measures"], HOUR)
        materialize(CHAIN, HOUR)
    table = silver(settings, STREAM) if of == "silver" else serve.STATS.table(settings)
    cut(table, how, keep_checksums)
    for asset in (f"{of}_measures", reader):
        with pytest.raises(PermanentFailure, match="read (commit|the log)"):
            materialize([asset], HOUR)
    done = repair(settings, table, "repair")
    assert done is not None
    assert done.hours == 1


def test_what_kafka_no_longer_has_is_named_after_the_repair(settings) -> None:
    send(settings, 3)
    land.land(settings, STREAM, session(settings), "first")
    send(settings, 4)
    land.land(settings, STREAM, session(settings), "second")
    table = bronze(settings, STREAM)
    cut(table, "nothing", keep_checksums=False)
    state = Kafka(settings).topic_state(settings.names.topic("telemetry", "measures"))
    assert state is not None
    partition = max(state.end, key=lambda p: state.end[p])
    with Kafka(settings).admin("delete in a test") as client:
        client.delete_records({TopicPartition(state.topic, partition): 5})
    repair(settings, table, "repair")
    with pytest.raises(PermanentFailure, match=rf"partition {partition} offsets 3\.\.4"):
        land.land(settings, STREAM, session(settings), "after")


def test_a_table_that_is_whole_is_not_touched(settings) -> None:
    send(settings, 3)
    land.land(settings, STREAM, session(settings), "first")
    table = bronze(settings, STREAM)
    # Spark may still be writing checksums of its own.
    files = sorted((Path(table.uri) / "_delta_log").glob("*.json"))
    log = {p: p.read_bytes() for p in files}
    assert repair(settings, table, "r") is None
    assert {p: p.read_bytes() for p in files} == log
    assert sorted((Path(table.uri) / "_delta_log").glob("*.json")) == files
