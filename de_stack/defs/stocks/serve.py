"""silver_ticks -> averages over windows, bars of a minute -> Postgres.

Belongs here: the gold tables. Does not belong here: the arithmetic (`core/rules.py`), the sizes of
windows (the contract), longer bars and reports (dbt).
"""

from datetime import datetime
from typing import Any

from de_stack import partitions
from de_stack.contracts import load_stream
from de_stack.defs.stocks.core import rules, schema
from de_stack.flow.gold import Gold
from de_stack.orchestration.gold_assets import published, served

TICKS = load_stream("stocks.ticks")
WINDOWS = [(window.name, window.length, window.slide) for window in TICKS.windows]


def _moving_averages(rows: Any, _first: datetime, _last: datetime) -> Any:
    from pyspark.sql import functions as f

    averages = rules.moving_averages(rows, WINDOWS)
    return averages.withColumn("event_hour", f.date_trunc(TICKS.grain, "window_end"))


def _minute_bars(rows: Any, _first: datetime, _last: datetime) -> Any:
    from pyspark.sql import functions as f

    bars = rules.minute_bars(rows)
    return bars.withColumn("event_hour", f.date_trunc(TICKS.grain, "minute"))


MOVING_AVERAGES = Gold(
    stream=TICKS,
    layer="gold",
    entity="moving_averages",
    columns=schema.AVERAGES,
    key=schema.AVERAGES_KEY,
    time_column="window_end",
    transform=_moving_averages,
    description="Per stock and window of each size: average, lowest and highest price, trades. A "
    "window belongs to the hour that it ends in.",
    count=None,
    looks_back=max(partitions.reach(window.length, TICKS.grain) for window in TICKS.windows),
)

OHLCV_1M = Gold(
    stream=TICKS,
    layer="gold",
    entity="ohlcv_1m",
    columns=schema.BARS,
    key=schema.BARS_KEY,
    time_column="minute",
    transform=_minute_bars,
    description="Per stock and minute: first, highest, lowest and last price, shares, trades. "
    "Trades of one moment are in the order in which the broker took them.",
    count="ticks",
)
GOLDS = (MOVING_AVERAGES, OHLCV_1M)

gold_moving_averages = served(MOVING_AVERAGES)
published_gold_moving_averages = published(MOVING_AVERAGES)
gold_ohlcv_1m, published_gold_ohlcv_1m = served(OHLCV_1M), published(OHLCV_1M)
