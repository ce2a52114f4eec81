"""What makes tweets run by themselves: days that a load has touched or reaches.

Belongs here: the sensor. Does not belong here: how it decides (`orchestration.ticks`).
"""

from de_stack.contracts.day_files import load_day_files
from de_stack.orchestration.ticks import Stage, derive_sensor

TWEETS = load_day_files("tweets")
_TABLES = ("gold_daily_summary", "gold_replies", "gold_renames")

derive_tweets = derive_sensor(
    TWEETS,
    [
        *(Stage("tweets", table, "bronze_tweets") for table in _TABLES),
        *(Stage("tweets", f"published_{table}", table) for table in _TABLES),
    ],
)
