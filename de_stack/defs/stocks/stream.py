"""topic_ticks -> averages while they happen: to Kafka, to Postgres, to Delta.

Belongs here: the continuous queries. Does not belong here: the arithmetic (`core/rules.py`), the
sizes of windows (the contract), running them (`streaming`).
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from de_stack.contracts import load_stream
from de_stack.defs.stocks.core import rules, schema
from de_stack.flow.continuous.lake_sink import LakeSink
from de_stack.flow.continuous.query import Query
from de_stack.flow.continuous.table_sink import TableSink
from de_stack.flow.continuous.topic_sink import TopicSink

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

TICKS = load_stream("stocks.ticks")
_WINDOWS = [(window.name, window.length, window.slide) for window in TICKS.windows]
_SHAPE = (*map(str, TICKS.windows), f"watermark {TICKS.watermark}")


def _averages(ticks: DataFrame) -> DataFrame:
    return rules.moving_averages(ticks, _WINDOWS, TICKS.watermark)


AVERAGES = Query(
    "stocks",
    "averages",
    TICKS,
    _averages,
    "append",
    TopicSink(load_stream("stocks.averages"), schema.AVERAGES_KEY),
    _SHAPE,
    "Averages over the windows of the contract, each when it has closed.",
)
LIVE_AVERAGES = Query(
    "stocks",
    "live_averages",
    TICKS,
    lambda ticks: rules.moving_averages(ticks, _WINDOWS[:1], TICKS.watermark),
    "update",
    TableSink(
        "stocks",
        "live_averages",
        tuple((name, kind, text) for name, _, kind, text in schema.AVERAGES),
        schema.AVERAGES_KEY,
        "window_start",
        "Averages of the last minutes while their windows are still open, as trades come in.",
        keep=timedelta(minutes=15),
    ),
    (str(TICKS.windows[0]), f"watermark {TICKS.watermark}"),
    "Averages of the first windows of the contract, while they are open.",
)
CLOSED_AVERAGES = Query(
    "stocks",
    "closed_averages",
    TICKS,
    _averages,
    "append",
    LakeSink(
        "stocks",
        "closed_averages",
        tuple((name, kind, text) for name, kind, _, text in schema.AVERAGES),
        "window_end",
    ),
    _SHAPE,
    "Averages over the windows of the contract, each when it has closed, in Delta.",
    is_on=False,
)
TOTALS = Query(
    "stocks",
    "live_totals",
    TICKS,
    rules.trade_totals,
    "complete",
    TableSink(
        "stocks",
        "live_totals",
        tuple((name, kind, text) for name, _, kind, text in schema.TOTALS),
        schema.TOTALS_KEY,
        None,
        "Of all trades so far, per stock and side: highest price, average quantity.",
    ),
    ("no window",),
    "Highest price and average quantity per stock and side, of all trades.",
    is_on=False,
)
QUERIES = (AVERAGES, LIVE_AVERAGES, CLOSED_AVERAGES, TOTALS)
