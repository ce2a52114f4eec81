"""The checks that every stream has, and those of its gold tables, as one list.

Belongs here: which checks there are. Does not belong here: how each is made (`checks.py`,
`ledger_checks.py`).
"""

from collections.abc import Sequence

import dagster as dg

from de_stack import naming
from de_stack.contracts import Stream
from de_stack.flow.bronze import bronze
from de_stack.flow.gold import Gold
from de_stack.flow.refine import silver
from de_stack.orchestration.checks import contract_check, freshness_check, sum_check
from de_stack.orchestration.ledger_checks import (
    letter_check,
    offset_check,
    reconciliation_check,
    table_check,
)


def checks(stream: Stream, golds: Sequence[Gold] = ()) -> list[dg.AssetChecksDefinition]:
    """All checks of a stream and of the gold tables that are computed from it."""
    found = [
        contract_check(stream),
        freshness_check(stream),
        offset_check(stream),
        letter_check(stream),
        reconciliation_check(stream),
        table_check(stream, "bronze", lambda settings: bronze(settings, stream)),
        table_check(stream, "silver", lambda settings: silver(settings, stream)),
    ]
    for gold in golds:
        found.append(table_check(stream, gold.layer, gold.table, gold.entity))
        if gold.count:
            found.append(
                sum_check(
                    stream,
                    naming.asset_key(stream.domain, gold.layer, gold.entity),
                    source=lambda settings: silver(settings, stream),
                    target=gold.table,
                    column=gold.count,
                )
            )
    return found
