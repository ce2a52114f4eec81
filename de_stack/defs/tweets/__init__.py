"""Tweets of a user's own day files: who wrote how much, who answered whom, who changed the name.

`de-stack load tweets FILE...` copies day files (CSV, the day in the file's name) into bronze as
they are, each file once, a changed one in the place of the old. The sensor then derives the days
that a load has touched or reaches, and publishes them to Postgres. A row against the contract stays
in bronze with the reason and counts nowhere.

    day files -> bronze_tweets -> gold_daily_summary -> published_gold_daily_summary
                 bronze_tweets -> gold_replies -> published_gold_replies
                 bronze_tweets -> gold_renames -> published_gold_renames
"""
