"""Columns of the tables that are derived from tweets.

Belongs here: names, types, meaning. Does not belong here: the tweet itself (the contract has it).
"""

_DAY = ("day", "date", "date", "Day of the tweet, UTC")
# (name, Spark type, Postgres type, description)
DAILY_SUMMARY = (
    _DAY,
    ("user_id", "bigint", "bigint", "Who wrote"),
    ("tweets", "bigint", "bigint", "Tweets of the user on that day"),
    ("sources", "map<string,bigint>", "jsonb", "Program -> tweets written with it"),
    (
        "hashtags",
        "array<string>",
        "text[]",
        "Distinct hashtags in small letters, without #, sorted",
    ),
    ("last_screen_name", "string", "text", "Screen name of the day's last tweet"),
)
DAILY_SUMMARY_KEY = ("day", "user_id")
REPLIES = (
    _DAY,
    ("user_id", "bigint", "bigint", "Who answered"),
    ("reply_number", "bigint", "bigint", "1, 2, ... per day and user, by time, then status id"),
    ("status_id", "bigint", "bigint", "The answer"),
    ("replied_at", "timestamp", "timestamptz", "When it was written"),
    ("original_status_id", "bigint", "bigint", "The tweet that it answers; null if not said"),
    (
        "original_user_id",
        "bigint",
        "bigint",
        "Who is answered: as the answer says, else who wrote the original; null if unknown",
    ),
    (
        "delay_seconds",
        "double",
        "double precision",
        "Seconds from the original to the answer; null where the original is not there",
    ),
)
REPLIES_KEY = ("day", "user_id", "reply_number")
RENAMES = (
    _DAY,
    ("user_id", "bigint", "bigint", "Whose name changed"),
    ("old_name", "string", "text", "Screen name of the tweet before"),
    ("new_name", "string", "text", "Screen name from this tweet on"),
    ("renamed_at", "timestamp", "timestamptz", "Time of the first tweet with the new name"),
    ("status_id", "bigint", "bigint", "That tweet"),
)
RENAMES_KEY = ("day", "user_id", "status_id")
