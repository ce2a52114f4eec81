"""What tests of continuous queries share: a host as a process, what is sent, read and expected.

Belongs here: the process, sending, reading each sink, what the rows that were sent must give by a
query's own batches, computed here in plain Python. Does not belong here: tests, kills.

A host has a home of its own, so that two tests do not read each other's status and wishes.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from de_stack.contracts import load_stream
from de_stack.flow.continuous.batches import Batches, History
from de_stack.flow.ledger_schema import ensure_schema
from de_stack.resources.kafka import client_options, ensure_topics
from de_stack.setting_sources import ADDRESSES
from de_stack.settings import Settings
from de_stack.streaming.statuses import Statuses
from de_stack_tests.domains.stocks import golden
from de_stack_tests.domains.stocks.trading import Trade
from de_stack_tests.integration.pipeline import records, serving
from de_stack_tests.services import REPOSITORY

TICKS = load_stream("stocks.ticks")
# Window, stock, start -> average, lowest, highest, how many.
Windows = dict[tuple[str, str, datetime], tuple[float, float, float, int]]
_US, _MS = timedelta(microseconds=1), timedelta(milliseconds=1)
# A host is at work after eight seconds, and after minutes where others have the machine.
LONG_S = 240
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Tick(Trade):
    """A trade, and after it was sent: where it lies."""

    partition: int = -1
    offset: int = -1


@dataclass
class Place:
    """A namespace and a home of its own for hosts, on the services that all share."""

    settings: Settings
    env: dict[str, str]
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """What all hosts of this place have said."""
        return self.settings.home / "host.log"

    def host(
        self,
        *queries: str,
        module: str = "de_stack.streaming",
        metrics_port: int | None = None,
        **environ: str,
    ) -> subprocess.Popen[bytes]:
        """Start a host in a process group of its own; without queries, of those that are wanted."""
        command = [sys.executable, "-m", module, "run", *queries]
        command += ["--tmp", str(self.settings.home / "tmp")]
        if metrics_port is not None:
            command += ["--metrics-port", str(metrics_port)]
        (self.settings.home / "tmp").mkdir(exist_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                env=self.env | environ,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.settings.home,
                start_new_session=True,
            )
        self.processes.append(process)
        return process

    @property
    def pid(self) -> int:
        """Process id of the host that was started last."""
        return self.processes[-1].pid

    def end(self) -> None:
        """Nothing of this place is left."""
        for process in self.processes:
            kill_group(process)

    def status(self) -> dict[str, dict[str, Any]]:
        """What the host says of its queries."""
        return Statuses(self.settings.home).all()

    def metrics(self) -> dict[str, dict[str, float]]:
        """`/metrics` of the host that said last where it is: query -> name -> value."""
        import httpx
        from prometheus_client.parser import text_string_to_metric_families

        # Half a character may be what was written last.
        said = self.log.read_text(errors="replace")
        *_, url = re.findall(r"url=(http://127\.0\.0\.1:\d+/metrics)", said)
        found: dict[str, dict[str, float]] = defaultdict(dict)
        for family in text_string_to_metric_families(httpx.get(url, timeout=10).text):
            for sample in family.samples:
                found[sample.labels["query"]][sample.name] = sample.value
        return found

    def batches(self, query: str) -> Batches:
        """What the ledger knows of a query."""
        return Batches(self.settings, self.settings.names.query(*query.split(".")))

    def history(self, query: str) -> History:
        """The batches of a query's checkpoint."""
        found = self.batches(query).history()
        assert found is not None, f"{query} has never had a batch"
        return found

    def until(self, true: Callable[[], Any], what: str, seconds: float = LONG_S) -> None:
        """Wait for something; what the hosts said is shown if it does not come."""
        deadline = time.monotonic() + seconds
        while not true():
            if time.monotonic() > deadline:
                raise AssertionError(f"{what}: not after {seconds:.0f} s\n{self.said()}")
            time.sleep(0.1)

    def until_read(self, ticks: Iterable[Tick], *queries: str, seconds: float = LONG_S) -> None:
        """Wait until queries have had all of the topic, and closed what the newest trade closes."""
        from de_stack.resources.kafka import Kafka

        state = Kafka(self.settings).topic_state(self.settings.names.topic(*TICKS.topic))
        assert state is not None and TICKS.watermark is not None
        until = (max(tick.at for tick in ticks) - TICKS.watermark - _EPOCH) // _MS

        def is_read(query: str) -> bool:
            told = self.status().get(query, {})
            assert told.get("state") != "failed", f"{query}: {told['error']}"
            found = self.batches(query).history()
            if found is None or not found.batches:
                return False
            last = found.batches[-1]
            return last.ends == state.end and last.watermark_ms >= until

        for query in queries:
            self.until(lambda q=query: is_read(q), f"{query} has read its topic", seconds)

    def said(self) -> str:
        """The end of the hosts' log."""
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else ""


def a_place(stack: Settings, folder: Path, namespace: str | None = None) -> Place:
    """A place with empty topics, in the profile of somebody who has own systems."""
    known = [name for name in ADDRESSES if getattr(stack, name) is not None]
    own = {f"DE_STACK_{name.upper()}": stack.need(name) for name in known}
    own |= {
        # Hosts of the fault tests are modules of ours.
        "PYTHONPATH": str(REPOSITORY),
        "DE_STACK_PROFILE": "external",
        "DE_STACK_HOME": str(folder),
        "DE_STACK_NAMESPACE": namespace or f"q{os.urandom(4).hex()}",
        "DE_STACK_QUERY_INTERVAL_SECONDS": "0.2",
        "DE_STACK_CHECKPOINT_URI": str(folder / "checkpoints"),
    }
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("SPARK_", "DE_STACK_"))}
    settings = stack.model_copy(
        update={
            "home": folder,
            "namespace": own["DE_STACK_NAMESPACE"],
            "checkpoint_uri": str(folder / "checkpoints"),
        }
    )
    ensure_topics(settings)
    ensure_schema(settings)
    return Place(settings, clean | own)


def kill_group(process: subprocess.Popen[bytes], number: int = signal.SIGKILL) -> None:
    """A signal to a host and all that it started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    process.wait(30)


def send(
    settings: Settings, ticks: Iterable[Tick], others: Iterable[bytes | None] = ()
) -> list[Tick]:
    """Send trades as JSON, and other messages as they are; the trades with where they lie."""
    from kafka import KafkaProducer

    topic = settings.names.topic(*TICKS.topic)
    producer = KafkaProducer(**client_options(settings), acks="all")
    waiting = []
    for tick in ticks:
        value = {
            "stock_name": tick.stock,
            "trade_type": tick.side,
            "price": tick.price,
            "quantity": tick.quantity,
            "event_time": tick.at.isoformat(),
        }
        headers = [("ce_id", os.urandom(8).hex().encode())]
        future = producer.send(
            topic, json.dumps(value).encode(), key=tick.stock.encode(), headers=headers
        )
        waiting.append((tick, future))
    for other in others:
        producer.send(topic, other, key=b"bad")
    producer.flush(timeout=60)
    producer.close()
    sent = [(tick, future.get(0)) for tick, future in waiting]
    return [replace(tick, partition=m.partition, offset=m.offset) for tick, m in sent]


def lies_in(at: datetime) -> list[tuple[str, datetime, datetime]]:
    """All windows of the contract that a moment lies in: name, start, end."""
    found = []
    for window in TICKS.windows:
        moment, slide = (at - _EPOCH) // _US, window.slide // _US
        start = moment - moment % slide
        while start + window.length // _US > moment:
            begin = _EPOCH + timedelta(microseconds=start)
            found.append((window.name, begin, begin + window.length))
            start -= slide
    return found


@dataclass(frozen=True)
class Expected:
    """What a query must have given, closed windows and open ones too; how often rows were late."""

    closed: Windows
    open_too: Windows
    late: Counter[Tick]


def expected(ticks: Iterable[Tick], history: History) -> Expected:
    """By the batches of a query, as they were planned.

    A row lies in the first batch that ends behind it. It is left out of the windows that end by the
    watermark of the batch before. A window is closed by the watermark of the last batch.
    """
    prices: dict[tuple[str, str, datetime, datetime], list[float]] = defaultdict(list)
    late: Counter[Tick] = Counter()
    pairs = itertools.pairwise(history.batches)
    late_by = {batch.number: before.watermark_ms for before, batch in pairs}
    for tick in ticks:
        (batch, *_) = [b for b in history.batches if b.ends.get(tick.partition, 0) > tick.offset]
        limit = _EPOCH + timedelta(milliseconds=late_by.get(batch.number, 0))
        for name, start, end in lies_in(tick.at):
            if end <= limit:
                late[tick] += 1
            else:
                prices[name, tick.stock, start, end].append(tick.price)
    until = _EPOCH + timedelta(milliseconds=history.batches[-1].watermark_ms)
    found = {
        key: (sum(found) / len(found), min(found), max(found), len(found))
        for key, found in prices.items()
    }
    return Expected(
        {(name, stock, start): v for (name, stock, start, end), v in found.items() if end <= until},
        {(name, stock, start): v for (name, stock, start, _), v in found.items()},
        late,
    )


def nine() -> list[Tick]:
    """The nine trades whose numbers are known."""
    return [Tick(t.stock, t.price, t.at, t.quantity, t.side) for t in golden.trades()]


def in_topic(settings: Settings) -> list[Any]:
    """All messages of the averages, in the order of each partition."""
    topic = settings.names.topic(*load_stream("stocks.averages").topic)
    return records(settings, topic, isolation_level="read_committed")


def all_sent(place: Place) -> list[Tick]:
    """The trades of the topic, where they lie."""
    found = records(place.settings, place.settings.names.topic(*TICKS.topic))
    rows = [(json.loads(record.value), record) for record in found]
    return [
        Tick(
            row["stock_name"],
            row["price"],
            datetime.fromisoformat(row["event_time"]),
            partition=record.partition,
            offset=record.offset,
        )
        for row, record in rows
    ]


def from_topic(settings: Settings) -> tuple[Windows, int]:
    """What a reader has that takes messages with one id for one; how many came more than once.

    Those that came again are the same, to the byte.
    """
    by_id: dict[str, tuple[bytes, ...]] = {}
    windows: Windows = {}
    again = 0
    for record in in_topic(settings):
        said = dict(record.headers)
        whole = (record.key, record.value, *(v for pair in record.headers for v in pair if v))
        whole = tuple(v.encode() if isinstance(v, str) else v for v in whole)
        event_id = said["ce_id"].decode()
        if event_id in by_id:
            assert by_id[event_id] == whole, f"{event_id} came twice, and not the same"
            again += 1
            continue
        by_id[event_id] = whole
        row = json.loads(record.value)
        assert record.key == row["stock_name"].encode()
        start = datetime.fromisoformat(row["window_start"])
        key = (row["window_name"], row["stock_name"], start)
        assert key not in windows, f"{key} has two ids"
        windows[key] = (row["avg_price"], row["min_price"], row["max_price"], row["count"])
    return windows, again


def from_postgres(settings: Settings, table: str = "live_averages") -> Windows:
    """Windows in Postgres: the table's key sees to it that each is there once."""
    rows = serving(
        settings,
        "select window_name, stock_name, window_start, avg_price, min_price, max_price, count "
        f"from {settings.names.schema('stocks')}.{table}",
    )
    return {(name, stock, start): tuple(values) for name, stock, start, *values in rows}  # type: ignore[misc]


def from_lake(settings: Settings, layer: str = "live", entity: str = "closed_averages") -> Windows:
    """The closed windows' table, or another one; a window that is there twice is an error."""
    from de_stack.resources.lake import Lake

    uri = Lake(settings).uri("stocks", layer, entity)
    rows = Lake(settings).query(
        uri,
        "select window_name, stock_name, window_start, avg_price, min_price, max_price, count "
        "from t",
    )
    found: Windows = {}
    for row in rows.to_pylist():
        name, stock, start, *values = row.values()
        key = (name, stock, start)
        assert key not in found, f"{key} is in the table twice"
        found[key] = tuple(values)  # type: ignore[assignment]
    return found


def differences(found: Windows, wanted: Windows) -> list[str]:
    """What differs, a sentence each; averages may differ in the last digits."""
    said = [f"{key}: missing, {wanted[key]}" for key in sorted(wanted.keys() - found.keys())]
    said += [f"{key}: too many, {found[key]}" for key in sorted(found.keys() - wanted.keys())]
    for key in sorted(found.keys() & wanted.keys()):
        (a, *rest), (b, *others) = found[key], wanted[key]
        if abs(a - b) > 1e-9 * max(1.0, abs(b)) or rest != others:
            said.append(f"{key}: {found[key]}, expected {wanted[key]}")
    return said


def stop(place: Place) -> str:
    """SIGTERM to the host, as supervisord sends it: to the process alone; what it said since."""
    before = len(place.log.read_text(errors="replace"))
    process, began = place.processes[-1], time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert process.wait(25) == 0, place.said()
    assert time.monotonic() - began < 20
    return place.log.read_text(errors="replace")[before:]
