"""The world -> Kafka: the topic of trades; and that of their averages, which a query of ours fills.

Belongs here: topics as external assets. Does not belong here: who fills them (`sources`,
`stream.py`).
"""

import dagster as dg

from de_stack import naming
from de_stack.contracts import load_stream
from de_stack.orchestration.stream_assets import topic

topic_ticks = topic(load_stream("stocks.ticks"))
topic_averages = topic(load_stream("stocks.averages")).merge_attributes(
    deps=[dg.AssetKey(naming.asset_key("stocks", "topic", "ticks"))]
)
