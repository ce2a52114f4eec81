"""What must be true of the tables of tweets after each run.

Belongs here: which checks there are. Does not belong here: counting by days (`flow.checks`).
"""

import dagster as dg

from de_stack import naming
from de_stack.defs.tweets.serve import DAILY_SUMMARY, GOLDS, TWEETS
from de_stack.flow import commits
from de_stack.flow.checks import Range, per_hour, within
from de_stack.flow.day_files import bronze
from de_stack.flow.ledger import Ledger
from de_stack.orchestration.checks import event_hours
from de_stack.orchestration.ledger_checks import table_check
from de_stack.resources.lake import Lake
from de_stack.settings import Settings

_TWEETS = "count(distinct concat(record['user_id'], '/', record['status_id']))"
_MOST_SHOWN = 20

TABLES_ARE_THE_LEDGERS = [table_check(TWEETS, g.layer, g.table, g.entity) for g in GOLDS]


@dg.asset_check(
    asset=dg.AssetKey(naming.asset_key("tweets", "gold", DAILY_SUMMARY.entity)),
    name="accounts_for_every_tweet",
    description="Per day the users' tweets sum up to the good tweets of bronze, each counted once. "
    "Pending days are not compared.",
)
def accounts_for_every_tweet(
    context: dg.AssetCheckExecutionContext, settings: dg.ResourceParam[Settings]
) -> dg.AssetCheckResult:
    """Holds the summary against bronze."""
    days, wrong = differences(settings, event_hours(context, TWEETS))
    shown = dict(list(wrong.items())[:_MOST_SHOWN])
    return dg.AssetCheckResult(
        passed=not wrong, metadata={"days": days, "wrong": dg.MetadataValue.json(shown)}
    )


def differences(settings: Settings, days: Range) -> tuple[int, dict[str, list[int]]]:
    """(days compared, day -> [tweets in bronze, in the summary] where they differ).

    Raises:
        Failure: a system was away, or log and ledger disagree.
    """
    lake, ledger = Lake(settings), Ledger(settings)
    source, target = bronze(settings, TWEETS), DAILY_SUMMARY.table(settings)
    of_source, of_target = (commits.reconcile(lake, ledger, t) for t in (source, target))
    if min(of_source, of_target) < 0:
        return 0, {}
    good = f"error is null and {within(days)}"
    there = per_hour(lake, source, of_source, _TWEETS, good)
    summed = per_hour(lake, target, of_target, "sum(tweets)", within(days))
    behind = set(ledger.behind(target.table_id, of_target, source.table_id, of_source))
    compared = sorted((there.keys() | summed.keys()) - behind)
    pairs = [(f"{day:%Y-%m-%d}", [there.get(day, 0), summed.get(day, 0)]) for day in compared]
    return len(compared), {day: counts for day, counts in pairs if counts[0] != counts[1]}
