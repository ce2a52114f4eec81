"""The world -> Kafka: the topic that the collector fills.

Belongs here: telemetry's topics as external assets. Does not belong here: the collector
(`sources`).
"""

import dagster as dg

from de_stack.contracts import load_stream
from de_stack.contracts.schemas import catalogue_columns
from de_stack.orchestration.assets import common

MEASURES = load_stream("telemetry.measures")

topic_measures = dg.AssetSpec(
    **common(MEASURES, "topic", {"kafka"}, catalogue_columns(MEASURES), MEASURES.name),
    description=f"{MEASURES.description} As Kafka holds it, for {MEASURES.retention.days} days.",
)
