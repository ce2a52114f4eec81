"""silver_measures -> stats_measures -> Postgres.

Belongs here: the statistics table. Does not belong here: the arithmetic (`core/rules.py`), the
daily report (dbt).
"""

from de_stack.contracts import load_stream
from de_stack.defs.telemetry.core import rules, schema
from de_stack.flow.gold import Gold
from de_stack.orchestration.gold_assets import published, served

MEASURES = load_stream("telemetry.measures")

STATS = Gold(
    stream=MEASURES,
    layer="stats",
    entity="measures",
    columns=schema.STATS,
    key=schema.STATS_KEY,
    time_column="window_start",
    transform=lambda rows, *_: rules.five_minute_stats(rows, MEASURES.grain),
    description="Per source, metric and five minutes: count, extremes, mean, sample deviation, "
    "percentiles.",
)

stats_measures = served(STATS)
published_stats_measures = published(STATS)
