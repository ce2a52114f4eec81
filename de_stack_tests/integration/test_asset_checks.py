"""Asset checks on real services: each passes on a good table and fails on one that is broken."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dagster as dg
import deltalake
import pyarrow as pa
import pytest
from pyspark.sql import SparkSession

from de_stack import partitions
from de_stack.contracts import load_stream
from de_stack.definitions import defs
from de_stack.defs.telemetry.serve import STATS
from de_stack.failures import TransientFailure
from de_stack.flow import (
    checks,
    commits,
    event_counts,
    landing_checks,
    ledger_rebuild,
    reconciliation,
    reparse,
)
from de_stack.flow import land as landing
from de_stack.flow import replay as again
from de_stack.flow.bronze import bronze
from de_stack.flow.dead_letters import enter_letters
from de_stack.flow.ledger import Ledger
from de_stack.flow.ledger_check import check
from de_stack.flow.letter_shelf import letters
from de_stack.flow.refine import silver
from de_stack.flow.table_check import check_table
from de_stack.flow.tables import Table
from de_stack.orchestration import checks as orchestrated
from de_stack.orchestration import session
from de_stack.resources.lake import Lake
from de_stack.settings import Settings
from de_stack_tests.integration.checking import hourly, results, run_hourly
from de_stack_tests.integration.pipeline import (
    CHAIN,
    HOUR,
    an_hour_that_lasts,
    materialize,
    measure,
    produce,
    this_hour,
    until_committed,
)
from de_stack_tests.integration.test_ledger_rebuild import _HOLE, rows

STREAM = load_stream("telemetry.measures")
BAD = b'{"source_id": "a"}'


def land(settings: Settings, *messages: dict | bytes) -> None:
    produce(settings, list(messages))
    materialize(["bronze_measures"], this_hour())


def lose_rows(settings: Settings, table: Table) -> None:
    """A commit that looks like maintenance and takes rows, as a broken compaction would."""
    delta = Lake(settings).open(table.uri)
    assert delta is not None
    _, metadata = commits.envelope("maintain", "a test")
    said = deltalake.CommitProperties(custom_metadata={"userMetadata": metadata})
    delta.delete("event_hour is not null", commit_properties=said)
    commits.reconcile(Lake(settings), Ledger(settings), table)


def test_every_check_passes_on_a_good_run_and_says_what_it_looked_at(settings) -> None:
    hour = this_hour() - 2 * HOUR
    produce(settings, [measure("a", 1.0, hour), measure("a", 2.0, hour)], ["one", "one"])
    found = results(materialize(["bronze_measures"], this_hour()))
    assert set(found) == {
        f"bronze_measures {name}"
        for name in ("offset_ranges_contiguous", "ledger_equals_table", "dead_letter_budget")
    }
    found |= results(materialize(CHAIN, hour))
    assert set(found) >= {
        "silver_measures ledger_equals_table",
        "silver_measures rows_reconcile",
        "silver_measures is_fresh",
        "stats_measures ledger_equals_table",
        "stats_measures accounts_for_every_row",
    }
    late = found.pop("silver_measures is_fresh")
    assert all(e.passed for e in found.values()), found
    assert late.severity == dg.AssetCheckSeverity.WARN
    said = {n: v.value for n, v in found["silver_measures rows_reconcile"].metadata.items()}
    assert (said["hours"], said["good_rows"], said["duplicates"], said["silver"]) == (1, 2, 1, 1)


def test_a_range_of_offsets_that_no_slice_has_is_named(settings) -> None:
    land(settings, measure("a", 1.0, this_hour()))
    land(settings, measure("a", 2.0, this_hour()))
    assert landing_checks.offset_chain(settings, STREAM).broken == []
    rows(settings, _HOLE, bronze(settings, STREAM).table_id)
    (said,) = landing_checks.offset_chain(settings, STREAM).broken
    assert said.startswith("slice 1: partition ")
    assert said.endswith(" offsets 1..1 never landed")
    # From the slice before on it is seen as well, from itself on it is not.
    assert landing_checks.offset_chain(settings, STREAM, 1).broken == [said]
    assert landing_checks.offset_chain(settings, STREAM, 0).broken == []
    found = results(materialize(["bronze_measures"], this_hour()))
    (one,) = [e for name, e in found.items() if name.endswith("offset_ranges_contiguous")]
    assert (one.passed, one.severity, one.description) == (False, dg.AssetCheckSeverity.ERROR, said)


def test_a_table_that_lost_rows_or_has_others_is_not_the_ledgers(settings) -> None:
    hour = this_hour() - 2 * HOUR
    land(settings, measure("a", 1.0, hour), measure("a", 2.0, hour))
    materialize(CHAIN, hour)
    raw, derived = bronze(settings, STREAM), (silver(settings, STREAM), STATS.table(settings))
    for table in (raw, *derived):
        assert check_table(settings, table).disagreements == []
        assert check_table(settings, table, (hour, hour)).disagreements == []
    lose_rows(settings, raw)
    assert check_table(settings, raw).disagreements == [
        f"{hour:%Y-%m-%d %H:%M} holds 0 rows, the ledger says 2",
        "it holds 0 rows, its slices 2",
    ]
    for table in derived:
        append_by_hand(settings, table, hour - HOUR)
        (said,) = check_table(settings, table).disagreements
        assert "was not written by de_stack" in said
        rows(
            settings,
            "insert into ledger.commits (table_id, version, kind, details, committed_at) "
            "values (%s, %s, 'maintenance', 'null', now())",
            table.table_id,
            Lake(settings).version(table.uri),
        )
        wrong = check_table(settings, table).disagreements
        assert any("no commit touched it" in text for text in wrong), wrong
        # Of another run's hours: only what is in the log.
        wrong = check_table(settings, table, (hour, hour)).disagreements
        assert not any("no commit touched it" in text for text in wrong), wrong


def append_by_hand(settings: Settings, table: Table, hour: datetime) -> None:
    """What somebody with another program does: the same rows again, in an hour of no commit."""
    copy = Lake(settings).query(table.uri, "select * from t")
    place = copy.schema.get_field_index("event_hour")
    hours = pa.array([hour] * copy.num_rows, copy.schema.field(place).type)
    deltalake.write_deltalake(table.uri, copy.set_column(place, "event_hour", hours), mode="append")


def test_the_ledger_knows_what_a_reparse_has_moved_also_when_it_is_made_anew(
    settings,
    spark: Callable[[], SparkSession],
) -> None:
    hour, table = this_hour() - 2 * HOUR, bronze(settings, STREAM)
    hot = [json.dumps(measure("a", 9e12, hour - i * HOUR)).encode() for i in (0, 1)]
    land(settings, *hot, measure("b", 2.0, hour))
    loose = replace(
        STREAM,
        fields=tuple(replace(f, maximum=1e15) if f.name == "value" else f for f in STREAM.fields),
    )
    list(reparse.reparse(settings, loose, spark, "mend"))
    land(settings, measure("c", 3.0, hour))
    assert check_table(settings, table).disagreements == []

    def seen() -> list[tuple]:
        return rows(
            settings,
            "select event_hour, rows, late_rows, version, ingest_first, ingest_last "
            "from ledger.hours where table_id = %s order by 1",
            table.table_id,
        )

    known = seen()
    assert [(h, int(n)) for h, n, *_ in known] == [(hour - HOUR, 1), (hour, 3)]
    ledger_rebuild.rebuild(settings)
    assert [text for one in check(settings) for text in one.disagreements] == []
    assert seen() == known
    # A ledger from a copy of before: the landing is adopted with the reparse behind it.
    version = rows(
        settings,
        "select min(version) from ledger.commits where table_id = %s and kind = 'land'",
        table.table_id,
    )[0][0]
    Ledger(settings).forget(table.table_id, version)
    commits.reconcile(Lake(settings), Ledger(settings), table)
    assert check_table(settings, table).disagreements == []
    assert seen() == known
    # And a log whose beginning Delta has cleaned away: those landings are counted again.
    lake = Lake(settings)
    delta = lake.open(table.uri)
    assert delta is not None
    delta.create_checkpoint()
    last = lake.version(table.uri)
    assert last is not None
    for number in range(last):
        (Path(table.uri) / "_delta_log" / f"{number:020d}.json").unlink()
    ledger_rebuild.rebuild(settings)
    assert check_table(settings, table).disagreements == []
    assert seen() == known


def test_open_dead_letters_over_the_budget_are_a_warning_until_they_are_settled(
    settings,
    spark: Callable[[], SparkSession],
) -> None:
    produce(settings, [measure("a", 1.0, this_hour())] * 4 + [BAD])
    found = results(materialize(["bronze_measures"], this_hour()))
    budget = found["bronze_measures dead_letter_budget"]
    assert (budget.passed, budget.severity) == (False, dg.AssetCheckSeverity.WARN)
    now = datetime.now(UTC)
    share = landing_checks.letter_share(settings, STREAM, now)
    assert (share.messages, share.open, share.share) == (5, 1, 0.2)
    # Long after it nothing was sent, and nothing is wrong.
    later = landing_checks.letter_share(settings, STREAM, now + timedelta(days=2))
    assert (later.messages, later.open, later.share) == (0, 0, 0.0)

    enter_letters(settings, STREAM, "test")
    (letter,) = letters(settings, STREAM)
    good = json.dumps(measure("a", 1.0, this_hour())).encode()
    again.replay(settings, STREAM, "me", mended={letter.position: good})
    until_committed(settings)
    landing.land(settings, STREAM, spark, "test")
    enter_letters(settings, STREAM, "test")
    share = landing_checks.letter_share(settings, STREAM, datetime.now(UTC))
    assert (share.messages, share.open) == (6, 0)


def test_events_that_silver_lacks_and_events_that_never_landed_do_not_reconcile(
    settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hour = this_hour() - 2 * HOUR
    land(settings, measure("a", 1.0, hour), measure("a", 2.0, hour), BAD)
    # Pending: nothing is settled, and nothing is wrong.
    assert reconciliation.reconciled(settings, STREAM, (hour, hour)).hours == 0
    materialize(CHAIN, hour)
    for hours in ((hour, hour), None):
        found = reconciliation.reconciled(settings, STREAM, hours)
        assert (found.hours, found.events, found.silver, found.wrong) == (1, 2, 2, [])
    lose_rows(settings, silver(settings, STREAM))
    for hours in ((hour, hour), None):
        found = reconciliation.reconciled(settings, STREAM, hours)
        assert found.wrong == [checks.Difference(hour, 2, 0)]

    def at_the_door(n: int) -> reconciliation.Accepted:
        monkeypatch.setattr(reconciliation.counter, "accepted_total", lambda *_: n)
        return reconciliation.accepted(settings, STREAM)

    # Two accepted, three landed (one of them another producer's), then two more wait in Kafka.
    assert at_the_door(2).missing == at_the_door(3).missing == 0
    assert at_the_door(4).missing == 1
    produce(settings, [measure("a", 1.0, hour)] * 2)
    assert at_the_door(5) == reconciliation.Accepted(5)
    assert at_the_door(7).missing == 2

    def away(*_: object) -> int:
        raise TransientFailure("ask Kafka", "no answer")

    monkeypatch.setattr(reconciliation, "waiting", away)
    assert "no answer" in at_the_door(7).reason
    assert at_the_door(3).reason == ""


def test_distinct_events_in_batches_are_those_of_all_rows_at_once(settings, monkeypatch) -> None:
    hours = [this_hour() - timedelta(days=i % 4, hours=i % 3) for i in range(12)]
    # Each hour twice: the same event again, but for one hour.
    ids = [*[f"e{i % 5}" for i in range(12)] * 2][:-1] + ["other"]
    produce(settings, [measure("a", 1.0, hour) for hour in hours * 2] + [BAD], [*ids, None])
    materialize(["bronze_measures"], this_hour())
    raw = bronze(settings, STREAM)
    version = commits.reconcile(Lake(settings), Ledger(settings), raw)
    sql = (
        "select event_hour, count(*) as n, count(distinct event_id) as ids from t "
        "where error is null group by 1"
    )
    rows_ = Lake(settings).query(raw.uri, sql, version).to_pylist()
    at_once = {commits.utc(r["event_hour"]): (r["n"], r["ids"]) for r in rows_}
    assert sum(n for n, _ in at_once.values()) == 24
    assert any(n > ids for n, ids in at_once.values())
    for most in (1, 5, 1_000_000):
        monkeypatch.setattr(event_counts, "_BATCH_ROWS", most)
        assert event_counts.events(settings, raw, version) == at_once
    first, *_, last = sorted(at_once)
    some = event_counts.events(settings, raw, version, first, last, {first, last})
    assert some == {hour: at_once[hour] for hour in (first, last)}


# Two minutes of them may be the wait for an hour that lasts.
@pytest.mark.timeout(420)
def test_what_is_stale_or_never_landed_is_seen_when_no_run_comes_any_more(
    settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hour = an_hour_that_lasts()
    land(settings, measure("a", 1.0, hour))
    found = results(materialize(CHAIN, hour))
    assert found["silver_measures is_fresh"].passed
    now = datetime.now(UTC)

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None) -> datetime:  # noqa: ANN001, ARG003
            return now

    def no_session(*_: object) -> None:
        raise AssertionError("a session of Spark")

    monkeypatch.setattr(orchestrated, "datetime", Clock)
    monkeypatch.setattr(session, "session_config", no_session)
    names = ("silver_measures is_fresh", "silver_measures rows_reconcile")
    with dg.instance_for_test() as instance:
        found = run_hourly(settings, instance)
        assert set(found) == set(names)
        assert [found[name].passed for name in names] == [True, True]
        # The source is gone. What the collector still took in never landed.
        now = hour + STREAM.freshness
        assert run_hourly(settings, instance)[names[0]].passed
        now += timedelta(seconds=1)
        monkeypatch.setattr(reconciliation.counter, "accepted_total", lambda *_: 3)
        found = run_hourly(settings, instance)
        assert [found[name].passed for name in names] == [False, False]
        assert found[names[0]].severity == dg.AssetCheckSeverity.WARN
        assert "2 accepted events neither landed" in str(found[names[1]].description)


def test_a_stream_in_which_nothing_ever_landed_is_not_fresh_and_its_hourly_run_is_one(
    settings,
) -> None:
    with dg.instance_for_test() as instance:
        found = run_hourly(settings, instance)
        assert not found["silver_measures is_fresh"].passed
        assert found["silver_measures rows_reconcile"].passed
        asked = hourly(settings, instance)
        assert isinstance(asked, dg.RunRequest)
        job = defs().resolve_job_def(defs().get_schedule_def("telemetry__measures__check").job_name)
        instance.create_run_for_job(job, status=dg.DagsterRunStatus.STARTED, tags=asked.tags)
        assert "is at it" in str(hourly(settings, instance))


def test_freshness_is_the_newest_row_and_reads_the_newest_day_only(settings, monkeypatch) -> None:
    assert checks.newest(settings, STREAM) == (None, -1)
    hours = [this_hour() - timedelta(days=3), this_hour() - timedelta(days=1)]
    late = hours[-1] + timedelta(minutes=17)
    land(settings, *[measure("a", 1.0, hour) for hour in hours], measure("a", 1.0, late))
    for hour in hours:
        materialize(["silver_measures"], hour)
    asked: list[str] = []
    query = Lake.query

    def listening(self: Lake, uri: str, sql: str, version: int | None = None):  # noqa: ANN202
        asked.append(sql)
        return query(self, uri, sql, version)

    monkeypatch.setattr(Lake, "query", listening)
    newest, version = checks.newest(settings, STREAM)
    assert newest == late
    assert version == Lake(settings).version(silver(settings, STREAM).uri)
    (sql,) = asked
    assert f"event_date = date '{late:%Y-%m-%d}'" in sql
    assert partitions.floor(late, "hour") == hours[-1]
