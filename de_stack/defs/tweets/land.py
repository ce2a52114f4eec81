"""Day files -> bronze_tweets: the outside asset that `de-stack load tweets` fills.

Belongs here: bronze as an asset that no run of ours makes. Does not belong here: how files are
loaded (`flow.load`).
"""

import dagster as dg

from de_stack import partitions
from de_stack.contracts.day_files import load_day_files
from de_stack.flow.day_files import bronze_columns
from de_stack.orchestration.assets import common

TWEETS = load_day_files("tweets")

bronze_tweets = dg.AssetSpec(
    **common(
        TWEETS,
        "bronze",
        {"delta"},
        bronze_columns(TWEETS),
        "lake.tweets.bronze_tweets",
    ),
    description="Every row of every day file, as it came and typed, with the reason if it is bad. "
    "`de-stack load tweets FILE...` fills it; a day is the one in which its tweets were written.",
    partitions_def=partitions.event_partitions(TWEETS),
)
