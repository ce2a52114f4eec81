"""What must be true of telemetry's tables after each run.

Belongs here: which checks there are. Does not belong here: how they count (`flow.checks`).
"""

from de_stack import naming
from de_stack.contracts import load_stream
from de_stack.defs.telemetry.serve import stats
from de_stack.flow.refine import silver
from de_stack.orchestration.checks import contract_check, freshness_check, sum_check

MEASURES = load_stream("telemetry.measures")

contract_holds = contract_check(MEASURES)
is_fresh = freshness_check(MEASURES)
accounts_for_every_row = sum_check(
    MEASURES,
    naming.asset_key("telemetry", "stats", "measures"),
    source=lambda settings: silver(settings, MEASURES),
    target=stats,
    column="count",
)
