"""topic_measures -> the last minutes of each source and metric, in Postgres, as they come in.

Belongs here: the continuous query. Does not belong here: the arithmetic (`core/rules.py`), the size
of windows (the contract), running it (`streaming`).
"""

from __future__ import annotations

from datetime import timedelta

from de_stack.contracts import load_stream
from de_stack.defs.telemetry.core import rules, schema
from de_stack.flow.continuous.query import Query
from de_stack.flow.continuous.table_sink import TableSink

MEASURES = load_stream("telemetry.measures")
(_WINDOW,) = MEASURES.windows

LIVE_MEASURES = Query(
    "telemetry",
    "live_measures",
    MEASURES,
    lambda measures: rules.live_windows(measures, _WINDOW.length, MEASURES.watermark),
    "update",
    TableSink(
        "telemetry",
        "live_measures",
        tuple((name, kind, text) for name, _, kind, text in schema.LIVE),
        schema.LIVE_KEY,
        "window_start",
        "The last minutes of each source and metric, while measures come in.",
        keep=timedelta(minutes=15),
    ),
    (str(_WINDOW), f"watermark {MEASURES.watermark}"),
    "Count, extremes, mean and last value of each window, while it is open.",
)
QUERIES = (LIVE_MEASURES,)
