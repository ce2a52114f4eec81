"""How tweets become summaries, replies and renames.

Belongs here: pure functions from data frame to data frame. Does not belong here: reading, writing,
Dagster, which days depend on which (`reach.py`).

All take rows of bronze (`record` is null for a bad one) and give rows of some days only; what they
look up in earlier days must be among the rows.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# A hashtag: #, then letters, marks, digits and _ of any script, at least one letter among them; not
# inside a word or an entity such as &#39;.
HASHTAG = r"(?:^|[^\p{L}\p{M}\p{N}_&])#([\p{N}_]*\p{L}[\p{L}\p{M}\p{N}_]*)"


def tweets(bronze: DataFrame) -> DataFrame:
    """Good rows, typed: one per day, user and status id, whatever files it stands in.

    Of several the one of the newest file counts (day of its name, name), and in one file the
    newest: a rule that knows no order of loading. `reach.py` has the same in SQL.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    same = Window.partitionBy("event_hour", "record.user_id", "record.status_id")
    newest = same.orderBy(*(f.desc(c) for c in ("file_day", "file", "record.created_at", "row")))
    return (
        bronze.where("error IS NULL")
        .withColumn("_rank", f.row_number().over(newest))
        .where("_rank = 1")
        .select("event_hour", "record.*")
    )


def daily_summary(bronze: DataFrame, first: datetime, last: datetime) -> DataFrame:
    """Per day and user: tweets, source -> tweets, distinct hashtags, last screen name."""
    from pyspark.sql import functions as f

    tags = f.transform(f.regexp_extract_all("text", f.lit(HASHTAG), f.lit(1)), f.lower)
    per_source = (
        _days(tweets(bronze), first, last)
        .groupBy("event_hour", "user_id", "source")
        .agg(
            f.count("*").alias("n"),
            f.flatten(f.collect_list(tags)).alias("tags"),
            f.max(f.struct("created_at", "status_id", "screen_name")).alias("newest"),
        )
    )
    return (
        per_source.groupBy("event_hour", "user_id")
        .agg(
            f.sum("n").alias("tweets"),
            f.map_from_entries(f.sort_array(f.collect_list(f.struct("source", "n")))).alias(
                "sources"
            ),
            f.array_sort(f.array_distinct(f.flatten(f.collect_list("tags")))).alias("hashtags"),
            f.max("newest").getField("screen_name").alias("last_screen_name"),
        )
        .select(
            _day(),
            "user_id",
            "tweets",
            "sources",
            "hashtags",
            "last_screen_name",
            "event_hour",
        )
    )


def replies(bronze: DataFrame, first: datetime, last: datetime) -> DataFrame:
    """Answers with their delay: seconds since the original, if that day or an earlier one has it.

    An answer names a tweet or a user that it replies to.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    all_tweets = tweets(bronze)
    answers = _days(all_tweets, first, last).where(
        "reply_to_status_id IS NOT NULL OR reply_to_user_id IS NOT NULL"
    )
    # An id that stands in several days is the one of the first.
    originals = all_tweets.groupBy(f.col("status_id").alias("original_status_id")).agg(
        f.min(f.struct("created_at", "user_id", "event_hour")).alias("original")
    )
    order = Window.partitionBy("event_hour", "user_id").orderBy("created_at", "status_id")
    known = f.col("original.event_hour") <= f.col("event_hour")
    delay = f.unix_micros("created_at") - f.unix_micros("original.created_at")
    return (
        answers.withColumn("reply_number", f.row_number().over(order).cast("bigint"))
        .withColumnRenamed("reply_to_status_id", "original_status_id")
        .join(originals, "original_status_id", "left")
        .select(
            _day(),
            "user_id",
            "reply_number",
            "status_id",
            f.col("created_at").alias("replied_at"),
            "original_status_id",
            f.coalesce("reply_to_user_id", f.when(known, f.col("original.user_id"))).alias(
                "original_user_id"
            ),
            f.when(known, delay / f.lit(1e6)).alias("delay_seconds"),
            "event_hour",
        )
    )


def renames(bronze: DataFrame, first: datetime, last: datetime) -> DataFrame:
    """Each tweet whose user had another screen name in the tweet before, of any earlier day.

    Names are compared as they are: Alice and alice are two.
    """
    from pyspark.sql import Window
    from pyspark.sql import functions as f

    order = Window.partitionBy("user_id").orderBy("created_at", "status_id")
    named = tweets(bronze).withColumn("old_name", f.lag("screen_name").over(order))
    return (
        _days(named, first, last)
        .where("old_name <> screen_name")
        .select(
            _day(),
            "user_id",
            "old_name",
            f.col("screen_name").alias("new_name"),
            f.col("created_at").alias("renamed_at"),
            "status_id",
            "event_hour",
        )
    )


def _days(frame: DataFrame, first: datetime, last: datetime) -> DataFrame:
    from pyspark.sql import functions as f

    return frame.where(f.col("event_hour").between(f.lit(first), f.lit(last)))


def _day() -> Column:
    from pyspark.sql import functions as f

    return f.to_date("event_hour").alias("day")
