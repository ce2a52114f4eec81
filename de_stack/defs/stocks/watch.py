"""What makes stocks run by themselves: new offsets, pending hours, silence.

Belongs here: sensors, the hourly checks. Does not belong here: how they decide
(`orchestration.ticks`), the continuous queries (`stream.py`).
"""

from de_stack.contracts import load_stream
from de_stack.orchestration.ticks import (
    chain,
    check_schedule,
    dead_letter_sensor,
    derive_sensor,
    land_sensor,
)

TICKS, AVERAGES = load_stream("stocks.ticks"), load_stream("stocks.averages")

land_ticks = land_sensor(TICKS)
dead_ticks = dead_letter_sensor(TICKS)
derive_ticks = derive_sensor(
    TICKS,
    chain(
        "stocks",
        "bronze_ticks",
        "silver_ticks",
        "gold_moving_averages",
        "published_gold_moving_averages",
    ),
)
check_ticks = check_schedule(TICKS, "is_fresh", "rows_reconcile")

land_averages = land_sensor(AVERAGES)
dead_averages = dead_letter_sensor(AVERAGES)
derive_averages = derive_sensor(AVERAGES, chain("stocks", "bronze_averages", "silver_averages"))
check_averages = check_schedule(AVERAGES, "is_fresh", "rows_reconcile")
