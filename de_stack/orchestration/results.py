"""Results that follow a published table, in Dagster's words.

Belongs here: what an asset that computes such a result shares with others, the sensor. Does not
belong here: reading and publishing (`flow.results`), what is computed (a domain).
"""

from collections.abc import Sequence

import dagster as dg

from de_stack import naming
from de_stack.contracts import Dataset
from de_stack.flow.ledger import Ledger
from de_stack.flow.publish import WHOLE, Published
from de_stack.flow.results import Result
from de_stack.orchestration.assets import Common, common
from de_stack.orchestration.ticks import asking
from de_stack.settings import Settings


def key_of(result: Result) -> dg.AssetKey:
    """Asset key of a result."""
    return dg.AssetKey(naming.asset_key(result.domain, result.layer, result.entity))


def shared(stream: Dataset, result: Result) -> Common:
    """Keyword arguments of `@asset` and `AssetSpec`: nothing else of ours is in these tables."""
    return common(
        stream,
        result.layer,
        {"python", "postgres"},
        result.columns,
        f"serving.{result.domain}.{result.name}",
        entity=result.entity,
    )


def told(done: Published) -> dict[str, int | bool]:
    """Metadata of a publication."""
    return {
        "rows": done.rows,
        "source_version": done.source_version,
        "already_there": bool(done.skipped),
        "dagster/row_count": done.total,
    }


def results_sensor(
    domain: str, entity: str, results: Sequence[Result], reads: str
) -> dg.SensorDefinition:
    """Asks for results when the table that they are computed from was published anew.

    Args:
        domain: of the results and of the table.
        entity: what they are together, for the sensor's name.
        results: all that are computed from it.
        reads: the published table.
    """
    assets = [key_of(result) for result in results]

    def ask(settings: Settings) -> dg.RunRequest | str:
        ledger = Ledger(settings)
        newest = ledger.applied(settings.names.table_id(domain, "published", reads), WHOLE)
        used = [ledger.applied(result.consumer(settings), WHOLE) for result in results]
        if newest is None:
            return f"{domain}.{reads} was not published yet"
        stale = [k for k, v in zip(assets, used, strict=True) if v is None or v < newest]
        if not stale:
            return "the source has not changed"
        return dg.RunRequest(asset_selection=assets)

    return asking(
        domain,
        entity,
        "mart",
        assets,
        Settings().mart_interval_seconds,
        f"Computes {', '.join(r.name for r in results)} when {domain}.{reads} has changed.",
        ask,
    )
