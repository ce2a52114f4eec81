"""What tests of stocks share: trades as messages, runs as the sensors ask for them, plain averages.

Belongs here: helpers of more than one module of this folder. Does not belong here: tests.
"""

from __future__ import annotations

import json
import uuid
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import fsum
from typing import Any

import dagster as dg

from de_stack import partitions
from de_stack.contracts import load_stream
from de_stack.contracts.model import Window
from de_stack.defs.stocks import watch
from de_stack.defs.stocks.core import schema as columns
from de_stack.resources.kafka import client_options
from de_stack.settings import Settings
from de_stack_tests.integration.pipeline import materialize, serving, this_hour
from de_stack_tests.integration.test_sensors import tick

TICKS = load_stream("stocks.ticks")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
AVERAGES = ", ".join(name for name, *_ in columns.AVERAGES)


@dataclass(frozen=True)
class Trade:
    """One trade."""

    stock: str
    price: float
    at: datetime
    quantity: int = 1
    side: str = "BUY"


def send(settings: Settings, trades: Iterable[Trade | str]) -> None:
    """Give trades, or lines of CSV as the first producer wrote them, to Kafka and land them."""
    from kafka import KafkaProducer

    producer = KafkaProducer(**client_options(settings))
    for trade in trades:
        producer.send(
            settings.names.topic(*TICKS.topic),
            _message(trade).encode(),
            key=(trade.split(",")[0] if isinstance(trade, str) else trade.stock).encode(),
            headers=[("ce_id", str(uuid.uuid4()).encode())],
        )
    producer.flush(timeout=30)
    producer.close()
    materialize(["bronze_ticks"], this_hour(), domain="stocks")


def _message(trade: Trade | str) -> str:
    if isinstance(trade, str):
        return trade
    message = {
        "stock_name": trade.stock,
        "trade_type": trade.side,
        "price": trade.price,
        "quantity": trade.quantity,
        "event_time": trade.at.isoformat(),
    }
    return json.dumps(message)


def run_what_is_asked(
    settings: Settings, instance: dg.DagsterInstance
) -> list[tuple[datetime, datetime, list[str]]]:
    """Run what the sensor asks for until it asks no more: first, last hour, assets of each run."""
    runs = []
    while True:
        asked = tick(watch.derive_ticks, settings, instance)
        if isinstance(asked, str):
            assert asked == "no event period is pending"
            return runs
        first, last = (
            partitions.start(asked.tags[f"dagster/asset_partition_range_{end}"], "hour")
            for end in ("start", "end")
        )
        names = [key.path[1] for key in asked.asset_selection or []]
        # With the tags, for it may reach over hours behind its partitions.
        materialize(names, tags=dict(asked.tags), instance=instance, domain="stocks")
        runs.append((first, last, names))


def published(settings: Settings, table: str, listed: str) -> list[tuple[Any, ...]]:
    """Rows of a table in Postgres, sorted."""
    schema = settings.names.schema("stocks")
    return sorted(serving(settings, f"select {listed} from {schema}.{table}"))


def averages(trades: Iterable[Trade], windows: Iterable[Window]) -> list[tuple[Any, ...]]:
    """The averages, computed by plain arithmetic from one trade to the windows that it lies in."""
    found: dict[tuple[str, str, datetime, datetime], list[float]] = defaultdict(list)
    for trade in trades:
        for window in windows:
            start = EPOCH + (trade.at - EPOCH) // window.slide * window.slide
            while start + window.length > trade.at:
                found[window.name, trade.stock, start, start + window.length].append(trade.price)
                start -= window.slide
    return sorted(
        (*key, fsum(prices) / len(prices), min(prices), max(prices), len(prices))
        for key, prices in found.items()
    )


def seconds(number: float) -> timedelta:
    """So many."""
    return timedelta(seconds=number)
