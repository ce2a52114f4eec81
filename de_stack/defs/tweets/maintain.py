"""The Delta tables of tweets, kept quick to read.

Belongs here: which tables there are. Does not belong here: how (`flow.maintenance`), the factories
(`orchestration.maintenance`).
"""

from dataclasses import replace
from typing import Any

from de_stack.contracts.day_files import load_day_files
from de_stack.defs.tweets.serve import DAILY_SUMMARY, RENAMES, REPLIES, Served
from de_stack.flow.day_files import bronze, bronze_columns
from de_stack.orchestration.maintenance import maintained, weekly

TWEETS: Any = load_day_files("tweets")


def _gold(served: Served) -> Any:
    # The factory names a table after its entity; a gold table has one of its own.
    own = replace(TWEETS, entity=served.entity)
    return maintained(own, "gold", served.lake_columns, served.gold)


maintained_bronze_tweets = maintained(
    TWEETS, "bronze", bronze_columns(TWEETS), lambda settings: bronze(settings, TWEETS)
)
maintained_gold_daily_summary = _gold(DAILY_SUMMARY)
maintained_gold_replies = _gold(REPLIES)
maintained_gold_renames = _gold(RENAMES)
maintenance = weekly(
    "tweets",
    [
        maintained_bronze_tweets,
        maintained_gold_daily_summary,
        maintained_gold_replies,
        maintained_gold_renames,
    ],
)
