"""The Delta tables of tweets, kept quick to read.

Belongs here: which tables there are. Does not belong here: how (`flow.maintenance`), the factories
(`orchestration.maintenance`).
"""

from de_stack.defs.tweets.serve import GOLDS, TWEETS
from de_stack.flow.day_files import bronze, bronze_columns
from de_stack.orchestration.maintenance import maintained, maintained_golds, weekly

MAINTAINED = [
    maintained(TWEETS, "bronze", bronze_columns(TWEETS), lambda s: bronze(s, TWEETS)),
    *maintained_golds(GOLDS),
]
maintenance = weekly("tweets", MAINTAINED)
