"""What must be true of telemetry's tables after each run.

Belongs here: which checks there are. Does not belong here: how they count (`flow`).
"""

from de_stack.defs.telemetry.serve import MEASURES, STATS
from de_stack.orchestration.standard_checks import checks

CHECKS = checks(MEASURES, [STATS])
