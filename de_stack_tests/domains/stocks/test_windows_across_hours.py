"""Windows that cross the hour belong to the hour they end in, and a late row repairs them there."""

from datetime import timedelta

import dagster as dg
import pytest

from de_stack.flow import late
from de_stack.flow.ledger import Ledger
from de_stack.flow.refine import silver
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings
from de_stack_tests.domains.stocks.trading import (
    AVERAGES,
    TICKS,
    Trade,
    averages,
    published,
    run_what_is_asked,
    seconds,
    send,
)
from de_stack_tests.integration.pipeline import (
    HOUR,
    an_hour_that_lasts,
    enter_namespace,
    this_hour,
)

GOLD = ["gold_moving_averages", "published_gold_moving_averages"]


@pytest.fixture
def settings(stack: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """A namespace of its own."""
    return enter_namespace(monkeypatch)


def test_a_late_row_repairs_the_windows_of_the_next_hour_that_it_lies_in(
    settings: Settings,
) -> None:
    twelve = this_hour() - timedelta(hours=30)
    eleven = twelve - HOUR
    trades = [
        Trade("ANZ", 10.0, twelve - seconds(1.5)),
        Trade("ANZ", 20.0, twelve + seconds(2)),
        # The only rows of its hour: all their windows end in the next one, or at its start.
        Trade("BHP", 7.0, twelve + 3 * HOUR - seconds(0.5)),
    ]
    with dg.DagsterInstance.ephemeral() as instance:
        send(settings, trades)
        run_what_is_asked(settings, instance)
        rows = published(settings, "gold_moving_averages", AVERAGES)
        assert rows == averages(trades, TICKS.windows)
        crossing = {(row[0], row[4]) for row in rows if row[2] < twelve < row[3]}
        assert crossing == {("10s_5s", 15.0), ("3s_1s", 10.0)}
        assert any(row[2] < twelve == row[3] for row in rows), "a window that ends with the hour"

        trades.append(Trade("ANZ", 60.0, twelve - seconds(2)))
        send(settings, trades[-1:])
        # Silver's hour first; what it reaches is known when silver has it.
        assert [run[:2] for run in run_what_is_asked(settings, instance)] == [
            (eleven, eleven),
            (twelve, twelve),
        ]
        rows = published(settings, "gold_moving_averages", AVERAGES)
        assert rows == averages(trades, TICKS.windows)
        assert max(row[7] for row in rows if row[2] < twelve < row[3]) == 3

        found = {h.event_hour: h.state for h in late.late_hours(settings, TICKS)}
        assert found == {eleven: "done", twelve: "done", twelve + 2 * HOUR: "done"}


# Two minutes of them may be the wait for an hour that lasts.
@pytest.mark.timeout(420)
def test_an_hour_that_windows_reach_is_asked_for_when_it_has_begun_and_once(
    settings: Settings,
) -> None:
    hour = an_hour_that_lasts()
    with dg.DagsterInstance.ephemeral() as instance:
        send(settings, [Trade("ANZ", 10.0, hour)])
        assert [run[:2] for run in run_what_is_asked(settings, instance)] == [(hour, hour)]
        ids = [settings.names.table_id("stocks", "gold", "moving_averages")]
        ids += [silver(settings, TICKS).table_id]

        def lagging(until: str) -> list:
            sql = "select event_hour from ledger.lagging(%s, %s, '1 hour', null, %s)"
            with Postgres(settings, "ledger").transaction("look in a test") as db:
                return [row[0] for row in db.execute(sql.encode(), (*ids, until)).fetchall()]

        assert lagging(str(hour + HOUR - seconds(1))) == []
        assert lagging(str(hour + HOUR)) == [hour + HOUR]
        assert lagging("infinity") == [hour + HOUR], "one hour, not all that follow"
        with Postgres(settings, "ledger").transaction("look in a test") as db:
            # The view has the database's clock.
            sql = "select event_hour from ledger.lag where consumer = %s"
            assert db.execute(sql, ids[:1]).fetchall() in ([], [(hour + HOUR,)])

        # An hour that rows have reached and that holds none is used up by a run that finds nothing.
        send(settings, [Trade("ANZ", 10.0, hour - 9 * HOUR)])
        assert [run[:2] for run in run_what_is_asked(settings, instance)] == [
            (hour - 9 * HOUR, hour - 9 * HOUR),
            (hour - 8 * HOUR, hour - 8 * HOUR),
        ]
        gold, ledger = ids[0], Ledger(settings)
        assert ledger.pending(gold, ids[1]) == []
        version, _ = ledger.last_commit(gold)
        now, _ = ledger.last_commit(ids[1])
        # A check compares no hour whose windows may lack a row.
        assert ledger.behind(gold, version - 1, ids[1], now) == [
            hour - 9 * HOUR,
            hour - 8 * HOUR,
            hour + HOUR,
        ]
