"""W3: averages over sliding windows of 1 M trades, against DuckDB, Spark's settings, quixstreams.

Belongs here: the rounds, the ratios, the latency. Does not belong here: the topic
(`averages_topic`), the peers (`averages_spark`, `_offline`, `_quix`), the checks
(`averages_check`).
`BENCH_MESSAGES` in the environment sets another number of trades.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks import averages_check as check
from benchmarks import averages_topic as topic
from benchmarks.averages_spark import LIVE_INTERVAL_S
from benchmarks.measuring import peer

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from de_stack.settings import Settings

TRADES = int(os.environ.get("BENCH_MESSAGES", "1_000_000"))
# As many in a batch as come in four seconds at 5,000/s; and as a query takes that lags far behind.
SMALL, LARGE = 20_000, 500_000
RATE, WARM_S, STEADY_S = 5_000, 75, 100
_LOCK = Path(__file__).parents[1] / "requirements" / "quixstreams.lock"


def run(rounds: int) -> None:
    from de_stack.local import stack

    try:
        stack.up(["postgres", "kafka"])
        catch_up(rounds)
        for mode in ("update", "append"):
            latency(mode)
    finally:
        stack.down(purge=True)


def catch_up(rounds: int) -> None:
    """From the full topic to the last window, all peers in each round."""
    settings, folder = a_place("w3"), Path(os.environ["DE_STACK_HOME"])
    file = folder / "trades.json"
    source, target = topics(settings)
    began = time.perf_counter()
    start = topic.make(settings, source, file, TRADES)
    until = topic.closed_until(start, TRADES)
    print(f"{TRADES:,} trades, {topic.STOCKS} stocks, made in {time.perf_counter() - began:.0f} s")
    trades, quix = check.ticks(settings, source), environment(folder / "quix")
    until_ms = str((until - check.EPOCH) // check._US // 1000)
    found: dict[str, list[dict[str, Any]]] = {}
    for number in range(rounds):
        offline = folder / f"offline{number}.parquet"

        def spark(
            kind: str, slice_rows: int, n: int = number, at: Path = offline
        ) -> dict[str, Any]:
            before = check.ends(settings, target)
            state = (folder / f"{kind}{slice_rows}-{n}").as_uri()
            done = peer(
                *("benchmarks.averages_spark", kind, "w3", state, str(slice_rows), until_ms)
            )
            return done | judged(settings, trades, target, before, at, until, done["query_id"])

        turns = {
            "offline": lambda at=offline: peer("benchmarks.averages_offline", str(file), str(at)),
            "ours": lambda: spark("ours", SMALL),
            "default": lambda: spark("default", SMALL),
            "plain": lambda: spark("plain", SMALL),
            "ours, large": lambda: spark("ours", LARGE),
            "quix": lambda n=number, at=offline: quixed(
                quix, settings, source, folder / f"state{n}", at, trades, until
            ),
        }
        # The file's windows are what the others are held against; of the others another goes first.
        order = list(turns)[1:]
        turn = number % len(order)
        order = ["offline", *order[turn:], *order[:turn]]
        for name in order:
            found.setdefault(name, []).append(turns[name]())
            last = found[name][-1]
            told = f"; {last['said']}" if number == 0 and "said" in last else ""
            print(f"round {number}: {name} {last['seconds']:.2f} s{told}", flush=True)
    report(found)


def judged(
    settings: Settings,
    trades: pa.Table,
    target: str,
    before: dict[int, int],
    offline: Path,
    until: datetime,
    query_id: str,
) -> dict[str, Any]:
    """Refuse figures of windows that nothing explains."""
    given = check.results(settings, target, before)
    found = check.parity(settings, trades, given, offline, until, query_id)
    if found.wrong or found.not_read_by_query or not found.windows:
        raise SystemExit(
            f"{len(found.wrong)} of {found.windows} windows are wrong: {found.wrong[:3]}"
        )
    return {
        "said": f"{found.windows:,} windows, {found.equal:,} equal to all trades', "
        f"{found.explained_by_late_rows:,} explained by {len(found.late):,} late rows, 0 wrong"
    }


def quixed(
    python: Path,
    settings: Settings,
    source: str,
    state: Path,
    offline: Path,
    trades: pa.Table,
    until: datetime,
) -> dict[str, Any]:
    """A run of the Python peer, its windows checked."""
    target = f"{settings.names.namespace}.quix.{state.name}"
    count = str(TRADES + topic.STOCKS)
    arguments = settings.need("kafka_bootstrap"), source, target, count, str(state)
    done = peer("benchmarks.averages_quix", *arguments, python=str(python))
    equal, late, wrong = check.quix(settings, target, offline, trades, until)
    if wrong or not equal:
        raise SystemExit(f"quixstreams: {wrong} windows are wrong, {equal} equal")
    return done | {"said": f"{equal:,} windows equal to all trades', {late:,} with late ones"}


def report(found: dict[str, list[dict[str, Any]]]) -> None:
    total = TRADES + topic.STOCKS
    print(f"\n{'':<12}{'s':>8}{'rows/s':>10}{'CPU s':>8}{'PSS MiB':>9}{'batch ms':>10}   rounds, s")
    for name, runs in found.items():
        seconds, used, pss = (
            statistics.median(r[k] for r in runs) for k in ("seconds", "cpu", "pss")
        )
        batch = [statistics.median(r["batch_ms"]) for r in runs if r.get("batch_ms")]
        middle = f"{statistics.median(batch):,.0f}" if batch else ""
        each = " ".join(f"{r['seconds']:.2f}" for r in runs)
        print(
            f"{name:<12}{seconds:>8.2f}{total / seconds:>10,.0f}{used:>8.1f}{pss / 2**20:>9.0f}"
            f"{middle:>10}   {each}"
        )
    for name in ("ours", "default", "plain", "ours, large"):
        runs = [r["parts_ms"] for r in found[name]]
        parts = {k: statistics.median(r[k] for r in runs) for k in runs[0]}
        print(f"{name}, a batch: " + ", ".join(f"{k} {ms:,.0f} ms" for k, ms in parts.items()))
    for ours, other in (
        ("ours", "default"),
        ("ours", "plain"),
        ("ours, large", "offline"),
        ("ours, large", "quix"),
        ("ours", "quix"),
    ):
        pairs = list(zip(found[ours], found[other], strict=True))
        ratios = [theirs["seconds"] / mine["seconds"] for mine, theirs in pairs]
        each = " ".join(f"{r:.2f}" for r in ratios)
        print(f"{ours} is {statistics.median(ratios):.2f} times as fast as {other} ({each})")
    for other in ("default", "plain"):
        pairs = zip(found["ours"], found[other], strict=True)
        rates = [
            statistics.median(theirs["batch_ms"]) / statistics.median(mine["batch_ms"])
            for mine, theirs in pairs
        ]
        each = " ".join(f"{r:.2f}" for r in rates)
        rate = f"{statistics.median(rates):.2f} times as many a second as {other} ({each})"
        print(f"batches of {SMALL:,} rows: {rate}")


def latency(mode: str) -> None:
    """Time from the end of a window to its last result in Kafka, at a steady rate."""
    settings, folder = a_place(f"w3{mode}"), Path(os.environ["DE_STACK_HOME"])
    source, target = topics(settings)
    seconds = WARM_S + STEADY_S
    waits = topic.WATERMARK.total_seconds() if mode == "append" else 0.0
    state = (folder / f"live-{mode}").as_uri()
    command = [sys.executable, "-W", "ignore", "-m", "benchmarks.averages_spark", "live"]
    command += [settings.names.namespace, state, mode, str(seconds + waits + 30)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        try:
            first, last = topic.steady(settings, source, RATE, seconds)
            _, error = process.communicate(timeout=300)
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise SystemExit(f"the query failed:\n{error.decode()[-3000:]}")
    whole: dict[tuple[str, datetime], tuple[int, int]] = {}
    for row in check.results(settings, target, {}):
        where = row["key"], row["window_end"]
        best = whole.get(where)
        if best is None or row["rows"] > best[0]:
            whole[where] = row["rows"], row["sent_ms"]
    began = first.timestamp() + WARM_S
    took = sorted(
        sent / 1000 - end.timestamp() - waits
        for (_, end), (_, sent) in whole.items()
        # Only trades that come later move the watermark on.
        if began <= end.timestamp() <= last.timestamp() - 5 - waits
    )
    asked = int(STEADY_S - 15 - waits) // 10 * topic.STOCKS
    if len(took) < asked:
        raise SystemExit(f"{len(took)} results of {asked}")
    p50, p99 = (took[int(len(took) * share)] for share in (0.5, 0.99))
    after = "the watermark passed the end" if waits else "the end"
    print(
        f"{mode} at {RATE:,}/s, a batch each {LIVE_INTERVAL_S} s: {len(took):,} windows, "
        f"whole {p50:.2f} s (p50), {p99:.2f} s (p99) after {after}",
        flush=True,
    )


def a_place(namespace: str) -> Settings:
    """A namespace with its topics and the ledger's tables."""
    from de_stack.flow.ledger_schema import ensure_schema
    from de_stack.resources.kafka import Kafka
    from de_stack.settings import Settings

    settings = Settings(namespace=namespace)
    ensure_schema(settings)
    for name in topics(settings):
        Kafka(settings).ensure_topic(name, topic.PARTITIONS, 1, {})
    return settings


def topics(settings: Settings) -> tuple[str, str]:
    """Where the trades are, and where the averages go."""
    from de_stack.contracts import load_stream

    ticks, averages = load_stream("stocks.ticks"), load_stream("stocks.averages")
    return settings.names.topic(*ticks.topic), settings.names.topic(*averages.topic)


def environment(folder: Path) -> Path:
    """quixstreams in an environment of its own: its pins are not ours."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    python = folder / "bin" / "python"
    command = [sys.executable, "-m", "uv", "pip", "install", "--quiet", "--python", str(python)]
    subprocess.run([*command, "--require-hashes", "-r", str(_LOCK)], check=True)
    return python
