"""bronze_measures -> silver_measures: typed, one row per event.

Belongs here: the asset. Does not belong here: how hours are replaced (`flow.refine`).
"""

from de_stack.contracts import load_stream
from de_stack.orchestration.stream_assets import refined

silver_measures = refined(load_stream("telemetry.measures"))
