"""bronze_measures -> dead_measures: the messages against the contract, for people to mend.

Belongs here: the asset. Does not belong here: how letters are found (`flow.dead_letters`), sending
them again (`flow.replay`).
"""

from de_stack.contracts import load_stream
from de_stack.orchestration.stream_assets import rejected

dead_measures = rejected(load_stream("telemetry.measures"))
