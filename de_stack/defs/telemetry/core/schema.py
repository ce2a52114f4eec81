"""Columns of telemetry's own tables.

Belongs here: names, types, meaning. Does not belong here: the measure itself (the contract has it).
"""

# (name, Spark type, Postgres type, description)
STATS = (
    ("source_id", "string", "text", "What measured"),
    ("metric", "string", "text", "What was measured"),
    ("window_start", "timestamp", "timestamptz", "Start of the five minutes, included"),
    ("window_end", "timestamp", "timestamptz", "End of the five minutes, excluded"),
    ("count", "bigint", "bigint", "Measures in the window"),
    ("min", "double", "double precision", "Smallest value, in the metric's unit"),
    ("max", "double", "double precision", "Largest value, in the metric's unit"),
    ("mean", "double", "double precision", "Arithmetic mean, in the metric's unit"),
    (
        "stddev",
        "double",
        "double precision",
        "Sample standard deviation (n - 1); null for one measure",
    ),
    (
        "p50",
        "double",
        "double precision",
        "Median, linear interpolation between closest ranks",
    ),
    ("p90", "double", "double precision", "90th percentile, same method"),
    ("p99", "double", "double precision", "99th percentile, same method"),
)
STATS_KEY = ("source_id", "metric", "window_start")
LIVE = (
    ("source_id", "string", "text", "What measured"),
    ("metric", "string", "text", "What was measured"),
    ("window_start", "timestamp", "timestamptz", "Start of the minute, included"),
    ("window_end", "timestamp", "timestamptz", "End of the minute, excluded"),
    ("count", "bigint", "bigint", "Measures in the minute so far"),
    ("min", "double", "double precision", "Smallest value, in the metric's unit"),
    ("max", "double", "double precision", "Largest value, in the metric's unit"),
    ("mean", "double", "double precision", "Arithmetic mean, in the metric's unit"),
    ("last_value", "double", "double precision", "Newest value, in the metric's unit"),
    ("last_measured_at", "timestamp", "timestamptz", "When that was measured"),
)
LIVE_KEY = ("source_id", "metric", "window_start")
