"""bronze_tweets -> daily summary, replies and renames -> Postgres.

Belongs here: the three tables. Does not belong here: the rules (`core/rules.py`), the columns
(`core/schema.py`), which days wait.
"""

from functools import partial

from de_stack.contracts.day_files import load_day_files
from de_stack.defs.tweets.core import rules, schema
from de_stack.flow.day_files import bronze
from de_stack.flow.gold import Gold
from de_stack.orchestration.gold_assets import published, served

TWEETS = load_day_files("tweets")
_table = partial(
    Gold,
    stream=TWEETS,
    layer="gold",
    time_column="day",
    reads="bronze",
    source=bronze,
    # The users' tweets are counted once each, bronze has some in several files: see `verify.py`.
    count=None,
)

DAILY_SUMMARY = _table(
    entity="daily_summary",
    columns=schema.DAILY_SUMMARY,
    key=schema.DAILY_SUMMARY_KEY,
    transform=rules.daily_summary,
    description="Per day and user: tweets, programs, hashtags, the last screen name.",
)
# The next two look into all earlier days; the ledger knows which days a load makes pending.
REPLIES = _table(
    entity="replies",
    columns=schema.REPLIES,
    key=schema.REPLIES_KEY,
    transform=rules.replies,
    looks_back=None,
    description="Who answered whom, how long after the original; originals of all earlier days.",
)
RENAMES = _table(
    entity="renames",
    columns=schema.RENAMES,
    key=schema.RENAMES_KEY,
    transform=rules.renames,
    looks_back=None,
    description="Who tweets under another screen name than in the tweet before, of whatever day.",
)
GOLDS = (DAILY_SUMMARY, REPLIES, RENAMES)

gold_daily_summary, published_gold_daily_summary = served(DAILY_SUMMARY), published(DAILY_SUMMARY)
gold_replies, published_gold_replies = served(REPLIES), published(REPLIES)
gold_renames, published_gold_renames = served(RENAMES), published(RENAMES)
