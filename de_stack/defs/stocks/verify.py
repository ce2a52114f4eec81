"""What must be true of the tables of stocks after each run.

Belongs here: which checks there are. Does not belong here: how they count (`flow`).
"""

from de_stack.contracts import load_stream
from de_stack.defs.stocks.serve import MOVING_AVERAGES, TICKS
from de_stack.orchestration.standard_checks import checks

CHECKS = [*checks(TICKS, [MOVING_AVERAGES]), *checks(load_stream("stocks.averages"))]
