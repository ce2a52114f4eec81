"""What makes telemetry run by itself: new offsets, pending hours, a stale report, silence.

Belongs here: sensors, the hourly checks. Does not belong here: how they decide
(`orchestration.ticks`).
"""

from de_stack.contracts import load_stream
from de_stack.orchestration.ticks import (
    chain,
    check_schedule,
    dead_letter_sensor,
    derive_sensor,
    land_sensor,
    mart_sensor,
)

MEASURES = load_stream("telemetry.measures")

land_measures = land_sensor(MEASURES)
dead_measures = dead_letter_sensor(MEASURES)
derive_measures = derive_sensor(
    MEASURES,
    chain(
        "telemetry",
        "bronze_measures",
        "silver_measures",
        "stats_measures",
        "published_stats_measures",
    ),
)
mart_daily_metrics = mart_sensor("telemetry", "mart_daily_metrics", reads="silver_measures")
check_measures = check_schedule(MEASURES, "is_fresh", "rows_reconcile")
