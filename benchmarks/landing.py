"""W1: Kafka to bronze, 2 M JSON messages, against a drain, a lean loop and a plain PySpark script.

Belongs here: the rounds, the ratios, where the time goes. Does not belong here: the peers
(`landing_lean`, `landing_plain`), the topic (`landing_topic`), the check (`landing_check`).
`BENCH_MESSAGES` in the environment sets another number of messages.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks import landing_check, landing_topic
from benchmarks.measuring import cpu, peak_of, peer

MESSAGES = int(os.environ.get("BENCH_MESSAGES", "2_000_000"))
ENTITY = ("telemetry", "measures")
Found = dict[str, list[dict[str, Any]]]


def run(rounds: int) -> None:
    from de_stack.local import stack

    try:
        stack.up(["postgres", "kafka", "spark"])
        measure(max(rounds, 3))
    finally:
        stack.down(purge=True)


def measure(rounds: int) -> None:
    from de_stack.resources.kafka import Kafka
    from de_stack.settings import Settings

    settings = Settings()
    topic = settings.names.topic(*ENTITY) + ".w1"
    began = time.perf_counter()
    size = landing_topic.make(settings, topic, MESSAGES)
    took = time.perf_counter() - began
    print(
        f"{MESSAGES:,} messages, {size:.0f} B each, {landing_topic.PARTITIONS} partitions ", end=""
    )
    print(f"(made in {took:.0f} s); {rounds} rounds, alternating", flush=True)
    state = Kafka(settings).topic_state(topic)
    assert state and sum(state.end.values()) == MESSAGES
    bootstrap = settings.need("kafka_bootstrap")
    folder = Path(os.environ["DE_STACK_HOME"]) / "bench"
    ours = Ours(topic)
    try:
        rounds_of(ours, rounds, (bootstrap, topic, state.topic_id), folder)
    finally:
        ours.close()


def rounds_of(ours: Ours, rounds: int, lean: tuple[str, str, str], folder: Path) -> None:
    found = Found()
    ours.cold()
    for number in range(rounds):
        table = {name: str(folder / f"{name}{number}") for name in ("lean", "plain")}
        turns = {
            "drain": lambda: peer("benchmarks.landing_lean", "drain", *lean, "-"),
            "ours": lambda: ours.land(),
            "lean": lambda t=table: peer("benchmarks.landing_lean", "land", *lean, t["lean"]),
            "plain": lambda t=table: peer("benchmarks.landing_plain", *lean[:2], t["plain"]),
        }
        # Another goes first in each round: what the last left in the caches helps nobody twice.
        order = list(turns)[number % 4 :] + list(turns)[: number % 4]
        for name in order:
            found.setdefault(name, []).append(turns[name]())
        check(ours.table.uri, table, first=number == 0)
        ours.forget()
        shutil.rmtree(folder)
        seconds = {name: runs[-1]["seconds"] for name, runs in found.items()}
        print(f"round {number}: " + ", ".join(f"{n} {s:.2f} s" for n, s in seconds.items()))
        sys.stdout.flush()
    report(found)
    ours.whole()
    ours.stages()


def check(uri: str, table: dict[str, str], first: bool) -> None:
    """Refuse figures of tables that differ."""
    mine, lean = landing_check.bronze(uri), landing_check.bronze(table["lean"])
    if mine != lean or mine.rows != MESSAGES or mine.places != MESSAGES:
        raise SystemExit(f"the tables differ:\n{mine}\n{lean}")
    if landing_check.plain(table["plain"]) != (MESSAGES, MESSAGES):
        raise SystemExit("the plain script has landed other rows")
    if first:
        rejects = ", ".join(f"{code} {rows}" for code, rows in mine.rejects)
        print(
            f"checked in every round: ours = lean in all columns; sum {mine.total:.4f}; {rejects}"
        )
        sizes = {n: landing_check.size_mb(u) for n, u in (("ours", uri), *table.items())}
        print("MB in Delta: " + ", ".join(f"{n} {s:.0f}" for n, s in sizes.items()))
        kept = {n: landing_check.stats_columns(u) for n, u in (("ours", uri), *table.items())}
        print("columns with statistics: " + ", ".join(f"{n} {len(s)}" for n, s in kept.items()))


def report(found: Found) -> None:
    middle = {
        name: {k: statistics.median(r[k] for r in runs) for k in ("seconds", "cpu", "pss")}
        for name, runs in found.items()
    }
    print(f"\n{'':<8}{'s':>7}{'rows/s':>10}{'CPU s':>8}{'PSS MiB':>9}   all rounds, s")
    for name, m in middle.items():
        each = " ".join(f"{r['seconds']:.2f}" for r in found[name])
        rate = MESSAGES / m["seconds"]
        memory = m["pss"] / 2**20
        print(f"{name:<8}{m['seconds']:>7.2f}{rate:>10,.0f}{m['cpu']:>8.1f}{memory:>9.0f}   {each}")
    for name in ("drain", "lean", "plain"):
        pairs = zip(found[name], found["ours"], strict=True)
        ratios = [theirs["seconds"] / mine["seconds"] for theirs, mine in pairs]
        each = " ".join(f"{r:.2f}" for r in ratios)
        print(f"ours is {statistics.median(ratios):.2f} times as fast as {name} ({each})")
    for name in ("ours", "lean", "plain"):
        runs = [r["parts"] for r in found[name]]
        parts = {k: statistics.median(r[k] for r in runs) for k in runs[0]}
        print(f"{name}: " + ", ".join(f"{k} {s:.2f} s" for k, s in parts.items()))


class Ours:
    """`land` on the stack's own Spark server, into a new table each time."""

    def __init__(self, topic: str) -> None:
        from de_stack.contracts import load_stream
        from de_stack.local.status import rows

        self.topic, self.number = topic, 0
        self.stream = load_stream(".".join(ENTITY))
        home = Path(os.environ["DE_STACK_HOME"])
        self.server = next(row.pid for row in rows(home) if row.name == "spark" and row.pid)
        self.spark: Any = None
        self._next()

    def _next(self) -> None:
        from de_stack.flow.bronze import bronze

        self.number += 1
        self.settings = _settings(self.topic, f"w{self.number}")
        self.table = bronze(self.settings, self.stream)

    def session(self) -> Any:
        from dagster_pyspark import LazyPySparkResource

        from de_stack.resources.spark import session_config

        if self.spark is None:
            self.spark = LazyPySparkResource(spark_config=session_config(self.settings))
        return self.spark.spark_session

    def close(self) -> None:
        """A client that outlives its server would go on calling it."""
        if self.spark is not None:
            self.spark.spark_session.stop()

    def forget(self) -> None:
        shutil.rmtree(self.table.uri.removeprefix("file://"))
        self._next()

    def cold(self) -> None:
        """The first slice that the server sees, session and all; then two that warm it."""
        rows = MESSAGES // 8
        began = time.perf_counter()
        self.land(rows, slices=1)
        print(f"ours, first slice of a cold server ({rows:,} rows): ", end="")
        print(f"{time.perf_counter() - began:.2f} s", flush=True)
        self.land(rows, slices=2)
        self.forget()

    def whole(self) -> None:
        """All in one slice instead of several."""
        found = self.land(MESSAGES)
        self.forget()
        memory = found["pss"] / 2**20
        print(f"ours in one slice: {found['seconds']:.2f} s, CPU {found['cpu']:.1f} s, ", end="")
        print(f"PSS {memory:.0f} MiB", flush=True)

    def land(self, rows: int | None = None, slices: int | None = None) -> dict[str, Any]:
        """Land all, or some slices; `rows` in each, the setting's when not given."""
        from de_stack.flow import land

        update = {"slice_max_rows": rows} if rows else {}
        settings = self.settings.model_copy(update=update)
        with peak_of(self.server, os.getpid()) as peak, _timed(land, slices) as parts:
            began = time.perf_counter()
            used = cpu(self.server) + time.process_time()
            try:
                landing = land.land(settings, self.stream, self.session, "bench")
                assert landing.rows == MESSAGES
            except _Enough:
                pass
            seconds = time.perf_counter() - began
            used = cpu(self.server) + time.process_time() - used
        parts["the rest"] = seconds - sum(parts.values())
        return {"seconds": seconds, "cpu": used, "pss": peak.pss, "parts": parts}

    def stages(self) -> None:
        """Each part of the write alone: Kafka, then with Arrow and the decoder, into nothing."""
        from de_stack.flow import slices, write_slice
        from de_stack.resources.kafka import Kafka

        state = Kafka(self.settings).topic_state(self.topic)
        assert state
        piece = slices.Slice(state.begin, state.end)
        frame = write_slice._rows(self.settings, self.stream, self.session(), state, piece)
        raw = write_slice._messages(self.settings, self.session(), state, piece)
        took = {}
        for name, rows in (("fetch", raw), ("fetch, Arrow and decode", frame)):
            each = []
            for _ in range(3):
                began = time.perf_counter()
                rows.write.format("noop").mode("overwrite").save()
                each.append(time.perf_counter() - began)
            took[name] = statistics.median(each)
        print("ours, into nothing: " + ", ".join(f"{n} {s:.2f} s" for n, s in took.items()))


class _Enough(Exception):  # noqa: N818
    pass


@contextmanager
def _timed(land: Any, slices: int | None) -> Iterator[dict[str, float]]:
    """Clocks around the parts of `land`; with `slices`, end it after so many."""
    parts = {"write and commit": 0.0, "reconcile": 0.0, "count": 0.0}
    places = (
        (land, "write_slice", "write and commit"),
        (land.commits, "reconcile", "reconcile"),
        (land, "_count", "count"),
    )
    done = 0

    def clocked(function: Any, part: str) -> Any:
        def call(*arguments: Any) -> Any:
            nonlocal done
            began = time.perf_counter()
            try:
                return function(*arguments)
            finally:
                parts[part] += time.perf_counter() - began
                done += part == "count"
                if done == slices:
                    raise _Enough

        return call

    kept = [(owner, name, getattr(owner, name)) for owner, name, _ in places]
    for (owner, name, function), (_, _, part) in zip(kept, places, strict=True):
        setattr(owner, name, clocked(function, part))
    try:
        yield parts
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)


def _settings(topic: str, namespace: str) -> Any:
    """Settings of a namespace of its own that reads the one topic."""
    from de_stack.naming import Names
    from de_stack.settings import Settings

    class OneTopic(Names):
        def topic(self, domain: str, entity: str, version: int | None = None) -> str:  # noqa: ARG002
            return topic

    class OfOneTopic(Settings):
        @property
        def names(self) -> Names:
            return OneTopic(self.namespace)

    return OfOneTopic(namespace=namespace)
