"""The Delta tables of telemetry, kept quick to read.

Belongs here: which tables there are. Does not belong here: how (`flow.maintenance`), the factories
(`orchestration.maintenance`).
"""

from de_stack.defs.telemetry.serve import MEASURES, STATS
from de_stack.orchestration.maintenance import all_maintained, weekly

MAINTAINED = all_maintained(MEASURES, [STATS])
maintenance = weekly("telemetry", MAINTAINED)
