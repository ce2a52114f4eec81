"""Kafka -> bronze: as it came, each offset once.

topic_ticks -> bronze_ticks, topic_averages -> bronze_averages.

Belongs here: the assets. Does not belong here: how slices work (`flow.land`).
"""

from de_stack.contracts import load_stream
from de_stack.orchestration.stream_assets import landed

bronze_ticks = landed(load_stream("stocks.ticks"))
bronze_averages = landed(load_stream("stocks.averages"))
