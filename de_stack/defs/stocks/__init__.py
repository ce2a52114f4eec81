"""Trades on a stock exchange: what each cost, averages while they happen, and the same in batch.

Trades come to Kafka, as JSON or as lines of CSV. A continuous query computes averages over windows
of event time and gives them to Kafka and to Postgres, for people who watch; the same rule computes
them again by the hour from what has landed, for people who need them right, late rows included. A
check holds the two against each other. Bars of a minute are summed up to hours, days, weeks and
months; dbt has the averages a second time, in SQL.

    generator -> collector -> topic_ticks -> bronze_ticks -> silver_ticks
    topic_ticks -> (continuous query) -> topic_averages -> bronze_averages -> silver_averages
    bronze_ticks -> dead_ticks -> mended by people -> topic_ticks
    silver_ticks -> gold_moving_averages -> published_gold_moving_averages
    silver_ticks -> gold_ohlcv_1m -> published_gold_ohlcv_1m
    gold_ohlcv_1m -> gold_ohlcv_1h, _1d, _1w, _1mo -> published_gold_ohlcv_...
    silver_ticks -> mart_moving_averages, mart_trade_totals -> published_mart_...
"""
