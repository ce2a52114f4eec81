"""Readings of machines: what each source measured, when, and how a day looked.

Sources post measures to the collector, which hands them to Kafka. Each landed message is kept as it
came (bronze), becomes one typed row per event (silver), is summed up per source, metric and five
minutes (stats), and is published to Postgres for dashboards; dbt makes the daily report from
silver. A message against the contract becomes a dead letter in Postgres.

    generator -> collector -> topic_measures -> bronze_measures -> silver_measures
    bronze_measures -> dead_measures -> mended by people -> topic_measures
    silver_measures -> stats_measures -> published_stats_measures
    silver_measures -> mart_daily_metrics -> published_mart_daily_metrics
"""
