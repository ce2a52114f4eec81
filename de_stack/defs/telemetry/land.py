"""topic_measures -> bronze_measures: as it came, each offset once.

Belongs here: the asset. Does not belong here: how slices work (`flow.land`).
"""

from de_stack.contracts import load_stream
from de_stack.orchestration.stream_assets import landed

bronze_measures = landed(load_stream("telemetry.measures"))
