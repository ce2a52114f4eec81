"""The check of parity on a real query: late rows explain what differs, a lost row does not.

Belongs here: query, batch path and check together, and the query that loses rows. Does not belong
here: what is a difference (`unit/test_parity.py`), kills (`test_killed_queries.py`).
"""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta

import dagster as dg
import pytest

from de_stack.defs.stocks.verify import PARITY
from de_stack.flow.continuous.parity import compare
from de_stack.orchestration import query_assets
from de_stack.settings import Settings
from de_stack_tests.domains.stocks.trading import run_what_is_asked
from de_stack_tests.integration.checking import run_hourly
from de_stack_tests.integration.pipeline import materialize, this_hour
from de_stack_tests.integration.querying import Place, Tick, expected, send
from de_stack_tests.seeds import SEEDS

HOUR = datetime(2018, 8, 21, 11, tzinfo=UTC)
BASE = HOUR + timedelta(minutes=10)
STOCKS = ("AGL", "AMC", "ANZ", "BHP", "CBA")
QUERY = "stocks.averages"
pytestmark = pytest.mark.timeout(600)


def trades(rng: random.Random, first: int, number: int) -> list[Tick]:
    """Five a second, in order, and what closes their windows."""
    found = [
        Tick(rng.choice(STOCKS), round(rng.uniform(1, 500), 2), BASE + timedelta(seconds=n / 5))
        for n in range(first, first + number)
    ]
    return [*found, Tick("WOW", 1.0, found[-1].at + timedelta(seconds=20))]


class HalfAnHourLater(datetime):
    """The clock, soon after the trades."""

    @classmethod
    def now(cls, tz=None) -> datetime:  # noqa: ANN001, ARG003
        return HOUR + timedelta(minutes=30)


@pytest.mark.naive("loses_a_row_of_ten")
def test_what_differs_is_explained_by_late_rows_and_by_nothing_else(
    place: Place, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = random.Random(SEEDS[0])
    print(f"DE_STACK_TEST_SEED={SEEDS[0]}")
    place.host(QUERY, module="de_stack_tests.faults.query_host")
    sent = send(settings, trades(rng, 0, 300))
    place.until_read(sent, QUERY)
    # Late for the query, which has closed their windows; the batch path has them.
    late = [Tick(stock, 900.0, BASE + timedelta(seconds=30)) for stock in STOCKS]
    sent += send(settings, late + trades(rng, 600, 100))
    place.until_read(sent, QUERY)
    wanted = expected(sent, place.history(QUERY))
    assert set(late) <= {Tick(t.stock, t.price, t.at) for t in wanted.late}

    with dg.instance_for_test() as instance:
        for asset in ("bronze_ticks", "bronze_averages"):
            materialize([asset], this_hour(), domain="stocks", instance=instance)
        run_what_is_asked(settings, instance)
        job = materialize(["gold_moving_averages"], HOUR, domain="stocks", instance=instance)
        # Each hour it is asked of the last hours, also of those that no run derives any more.
        monkeypatch.setattr(query_assets, "datetime", HalfAnHourLater)
        by_the_clock = run_hourly(settings, instance, "stocks__ticks__check")
    found = compare(settings, PARITY, HOUR, HOUR)
    # All that the query had to give was compared, and is as it had to be.
    assert not found.wrong, found.wrong[:5]
    assert found.windows >= len(wanted.closed)
    assert found.equal + found.explained_by_late_rows == found.windows
    assert len(found.late) == len(wanted.late) and found.most_late_s > 25
    assert found.late_places == sum(wanted.late.values())
    assert found.explained_by_late_rows > 0
    (check,) = [e for e in job.get_asset_check_evaluations() if e.check_name == "equals_continuous"]
    assert check.passed
    assert check.metadata["windows"].value == found.windows
    again = by_the_clock["gold_moving_averages equals_continuous"]
    assert again.passed and again.metadata["windows"].value == found.windows
