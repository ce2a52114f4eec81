"""The world -> Kafka: the topic that the collector fills.

Belongs here: telemetry's topics as external assets. Does not belong here: the collector
(`sources`).
"""

from de_stack.contracts import load_stream
from de_stack.orchestration.stream_assets import topic

MEASURES = load_stream("telemetry.measures")

topic_measures = topic(MEASURES)
