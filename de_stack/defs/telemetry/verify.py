"""What must be true of telemetry's tables after each run.

Belongs here: which checks there are. Does not belong here: how they count (`flow`).
"""

from de_stack import naming
from de_stack.contracts import load_stream
from de_stack.defs.telemetry.serve import stats
from de_stack.flow.bronze import bronze
from de_stack.flow.refine import silver
from de_stack.orchestration.checks import contract_check, freshness_check, sum_check
from de_stack.orchestration.ledger_checks import (
    letter_check,
    offset_check,
    reconciliation_check,
    table_check,
)

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
offsets_are_contiguous = offset_check(MEASURES)
dead_letters_are_few = letter_check(MEASURES)
rows_reconcile = reconciliation_check(MEASURES)
bronze_is_the_ledgers = table_check(MEASURES, "bronze", lambda settings: bronze(settings, MEASURES))
silver_is_the_ledgers = table_check(MEASURES, "silver", lambda settings: silver(settings, MEASURES))
stats_are_the_ledgers = table_check(MEASURES, "stats", stats)
