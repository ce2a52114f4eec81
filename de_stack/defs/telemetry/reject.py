"""bronze_measures -> dead_measures: the messages against the contract, for people to mend.

Belongs here: the asset. Does not belong here: how letters are found (`flow.dead_letters`), sending
them again (`flow.replay`).
"""

import dagster as dg

from de_stack import naming
from de_stack.contracts import load_stream
from de_stack.flow.dead_letters import enter_letters
from de_stack.flow.letter_shelf import COLUMNS
from de_stack.orchestration.assets import common
from de_stack.settings import Settings

MEASURES = load_stream("telemetry.measures")


@dg.asset(
    **common(MEASURES, "dead", {"postgres"}, COLUMNS, "serving.telemetry.dead_measures"),
    deps=[naming.asset_key("telemetry", "bronze", "measures")],
)
def dead_measures(
    context: dg.AssetExecutionContext, settings: dg.ResourceParam[Settings]
) -> dg.MaterializeResult:
    """Every message against the contract: code, field, reason, original bytes, what became of it.

    A letter is open until a message that repeats it has landed; `de-stack dead-letters` lists them
    and sends them again.
    """
    done = enter_letters(settings, MEASURES, context.run.run_id)
    return dg.MaterializeResult(
        metadata={
            "letters_found": done.letters,
            "replays_found": done.replays,
            "open": done.open,
            "bronze_version": done.source_version,
            "dagster/row_count": done.total,
        }
    )
