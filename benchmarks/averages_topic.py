"""The topic of the workload of averages: trades of 500 stocks, some of them late; and as a file.

Belongs here: making both. Does not belong here: what is done with the trades.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from de_stack.settings import Settings

STOCKS, PARTITIONS = 500, 4
WINDOW, SLIDE, WATERMARK = timedelta(seconds=60), timedelta(seconds=10), timedelta(seconds=30)
NAME = "60s_10s"
# Of event time: a thousand windows of a minute would need a day at fewer.
PER_SECOND = 1000
# Of a hundred trades five come up to the watermark late, one comes later than that.
_INSIDE, _BEYOND = 0.05, 0.01
_BEYOND_S = (31.0, 120.0)
_CLOSES = timedelta(minutes=5)


@dataclass(frozen=True)
class Trade:
    """A line of JSON, its key and partition."""

    stock: str
    partition: int
    line: bytes


def closed_until(start: datetime, trades: int) -> datetime:
    """Up to here all windows are closed by the last trades, one of each stock."""
    return start + timedelta(seconds=trades / PER_SECOND) + _CLOSES - WATERMARK


def trades(start: datetime, count: int) -> Iterator[Trade]:
    """`count` trades, and one of each stock that closes all windows before it."""
    chance = random.Random(6)
    price = {stock: 20.0 + stock / 7 for stock in range(STOCKS)}
    for number in range(count):
        luck, late = chance.random(), 0.0
        if luck < _BEYOND:
            late = chance.uniform(*_BEYOND_S)
        elif luck < _BEYOND + _INSIDE:
            late = chance.uniform(0, WATERMARK.total_seconds())
        stock = chance.randrange(STOCKS)
        price[stock] = max(1.0, price[stock] + chance.gauss(0, 0.05))
        at = start + timedelta(seconds=number / PER_SECOND - late)
        yield _trade(stock, price[stock], chance.randrange(1, 1000), at)
    last = start + timedelta(seconds=count / PER_SECOND) + _CLOSES
    for stock in range(STOCKS):
        yield _trade(stock, price[stock], 1, last)


def _trade(stock: int, price: float, quantity: int, at: datetime) -> Trade:
    name = f"S{stock:03d}"
    line = (
        f'{{"stock_name":"{name}","trade_type":"{"BUY" if quantity % 2 else "SELL"}",'
        f'"price":{price:.2f},"quantity":{quantity},'
        f'"event_time":"{at:%Y-%m-%dT%H:%M:%S.%fZ}"}}'
    )
    return Trade(name, stock % PARTITIONS, line.encode())


def make(settings: Settings, topic: str, path: Path, count: int) -> datetime:
    """Fill the topic and write the same lines into a file; where event time begins."""
    from de_stack.resources.kafka import Kafka

    Kafka(settings).ensure_topic(topic, PARTITIONS, 1, {})
    start = datetime.now(UTC).replace(microsecond=0) - timedelta(hours=2)
    start -= timedelta(seconds=start.second % 60)
    producer = producer_of(settings)
    with path.open("wb") as file:
        for trade in trades(start, count):
            send(producer, topic, trade)
            file.write(trade.line + b"\n")
    if left := producer.flush(120):
        raise SystemExit(f"{left} messages did not reach Kafka")
    return start


def producer_of(settings: Settings) -> Any:
    """A producer as a fast one is set up."""
    from confluent_kafka import Producer

    return Producer(
        {
            "bootstrap.servers": settings.need("kafka_bootstrap"),
            "linger.ms": 5,
            "queue.buffering.max.messages": 1_000_000,
        }
    )


def send(producer: Any, topic: str, trade: Trade) -> None:
    """Hand a trade to the producer, waiting for room."""
    while True:
        try:
            producer.produce(topic, trade.line, trade.stock, trade.partition)
        except BufferError:
            producer.poll(0.05)
        else:
            producer.poll(0)
            return


def steady(settings: Settings, topic: str, rate: int, seconds: float) -> tuple[datetime, datetime]:
    """Send trades as they happen, in order, `rate` of them a second; when it began and ended."""
    chance, producer = random.Random(7), producer_of(settings)
    began, sent = time.monotonic(), 0
    first = datetime.now(UTC)
    while (gone := time.monotonic() - began) < seconds:
        for _ in range(int(gone * rate) - sent):
            at = datetime.now(UTC)
            send(producer, topic, _trade(chance.randrange(STOCKS), 20.0, 1, at))
            sent += 1
        time.sleep(0.005)
    last = datetime.now(UTC)
    if left := producer.flush(60):
        raise SystemExit(f"{left} messages did not reach Kafka")
    return first, last
