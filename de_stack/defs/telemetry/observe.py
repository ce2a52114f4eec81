"""What the continuous query of telemetry keeps, as an outside asset, and how far it is.

Belongs here: which there are. Does not belong here: the query (`stream.py`), observing
(`orchestration.query_assets`).
"""

from de_stack.defs.telemetry.stream import LIVE_MEASURES, QUERIES
from de_stack.orchestration.query_assets import live, observe_sensor

live_measures = live(LIVE_MEASURES)
observe_queries = observe_sensor("telemetry", QUERIES)
