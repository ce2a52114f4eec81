"""What makes stocks run by themselves: new offsets, pending hours, new days, silence.

Belongs here: sensors, the hourly checks. Does not belong here: how they decide
(`orchestration.ticks`), the continuous queries (`stream.py`).
"""

from de_stack.contracts import load_stream
from de_stack.defs.stocks import analyse, train
from de_stack.orchestration.results import results_sensor
from de_stack.orchestration.ticks import (
    Stage,
    check_schedule,
    dead_letter_sensor,
    derive_sensor,
    land_sensor,
    marts_sensor,
)

TICKS, AVERAGES = load_stream("stocks.ticks"), load_stream("stocks.averages")
_GOLD = ("gold_moving_averages", "gold_ohlcv_1m")

land_ticks = land_sensor(TICKS)
dead_ticks = dead_letter_sensor(TICKS)
derive_ticks = derive_sensor(
    TICKS,
    [
        Stage("stocks", "silver_ticks", "bronze_ticks"),
        *(Stage("stocks", table, "silver_ticks") for table in _GOLD),
        *(Stage("stocks", f"published_{table}", table) for table in _GOLD),
    ],
)
marts_of_ticks = marts_sensor(
    "stocks",
    "ticks",
    {
        "gold_ohlcv_1h": "gold_ohlcv_1m",
        "gold_ohlcv_1d": "gold_ohlcv_1m",
        "gold_ohlcv_1w": "gold_ohlcv_1m",
        "gold_ohlcv_1mo": "gold_ohlcv_1m",
        "mart_moving_averages": "silver_ticks",
        "mart_trade_totals": "silver_ticks",
    },
)
# Windows that were not settled when their hour was last derived are compared by this.
check_ticks = check_schedule(
    TICKS, "is_fresh", "rows_reconcile", gold_moving_averages="equals_continuous"
)

land_averages = land_sensor(AVERAGES)
dead_averages = dead_letter_sensor(AVERAGES)
derive_averages = derive_sensor(AVERAGES, [Stage("stocks", "silver_averages", "bronze_averages")])
check_averages = check_schedule(AVERAGES, "is_fresh", "rows_reconcile")

analysis = results_sensor("stocks", "analysis", [*analyse.RESULTS, *train.RESULTS], analyse.DAILY)
