"""Continuous queries as a process: what reaches each sink, what is left out, what a restart does.

Belongs here: one host at work, and stopped and begun again as people do. Does not belong here:
kills (`faults/test_killed_queries.py`), windows as arithmetic (`domains/stocks`).

All tests of the module share one place, and a host each stretch of it: a driver costs some seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest import mock

import dagster as dg
import pytest
from deltalake import DeltaTable
from typer.testing import CliRunner, Result

from de_stack.cli import application
from de_stack.defs.stocks import observe
from de_stack.failures import Failure
from de_stack.flow.maintenance import maintain
from de_stack.resources.lake import Lake
from de_stack.resources.postgres import Postgres
from de_stack.settings import Settings
from de_stack.streaming.queries import load_queries
from de_stack.streaming.wanted import Wanted
from de_stack_tests.domains.stocks import golden
from de_stack_tests.integration.pipeline import measure, produce, serving, session
from de_stack_tests.integration.querying import (
    LONG_S,
    TICKS,
    Place,
    Tick,
    a_place,
    differences,
    expected,
    from_lake,
    from_postgres,
    from_topic,
    in_topic,
    nine,
    send,
    stop,
)
from de_stack_tests.services import REPOSITORY

MINUTE = datetime(2018, 8, 21, 11, 1, tzinfo=UTC)
MEASURED = datetime(2026, 3, 1, 10, 1, tzinfo=UTC)
AVERAGES = (
    "window_name, stock_name, window_start, window_end, avg_price, min_price, max_price, count"
)
BAD = (
    b"AMC,SELL,158.84,216,1534849271061",
    b"{not JSON",
    b'{"stock_name": "AGL"}',
    bytes(range(256)),
    None,
)
ALL = sorted(load_queries())
WITH_WINDOWS = ("stocks.averages", "stocks.live_averages", "stocks.closed_averages")
pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def place(stack: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Topics and a home of this module."""
    made = a_place(stack, tmp_path_factory.mktemp("queries"))
    yield made
    made.end()


@pytest.fixture(scope="module")
def sent(place: Place) -> list[Tick]:
    """All queries run: the nine trades, bad messages, a trade that closes all their windows."""
    for name in ALL:
        Wanted(place.settings.home).say(name, on=True)
    place.host(metrics_port=0)
    place.until(lambda: states(place) == {"running"}, "all queries run")
    ticks = send(place.settings, [*nine(), Tick("ZZZ", 1.0, MINUTE + timedelta(minutes=2))], BAD)
    produce(
        place.settings,
        [
            measure("press", value, MEASURED + timedelta(seconds=s))
            for s, value in enumerate((3, 1, 2))
        ],
    )
    place.until_read(ticks, *WITH_WINDOWS)
    return ticks


def state(place: Place, name: str) -> str | None:
    return place.status().get(name, {}).get("state")


def states(place: Place) -> set[str | None]:
    return {state(place, name) for name in ALL}


def of_the_nine(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [row for row in rows if row[1] != "ZZZ" and row[2] < MINUTE + timedelta(minutes=2)]


def test_closed_windows_come_to_kafka_with_the_known_numbers_each_under_an_id_of_its_own(
    place: Place, sent: list[Tick]
) -> None:
    records = in_topic(place.settings)
    rows = []
    for record in records:
        row, said = json.loads(record.value), dict(record.headers)
        start, end = (datetime.fromisoformat(row[n]) for n in ("window_start", "window_end"))
        assert record.key.decode() == row["stock_name"]
        name, stock = row["window_name"], row["stock_name"]
        assert said["ce_id"].decode() == f"{name}/{stock}/{row['window_start']}"
        assert said["ce_type"] == b"stocks.averages"
        assert datetime.fromisoformat(said["ce_time"].decode()) == end
        values = (row["avg_price"], row["min_price"], row["max_price"], row["count"])
        rows.append((name, stock, start, end, *values))
    golden.holds_for(of_the_nine(rows), {"10s_5s", "3s_1s", "6s"})


def test_open_windows_are_kept_up_to_date_in_postgres(place: Place, sent: list[Tick]) -> None:
    schema = place.settings.names.schema("stocks")
    rows = serving(place.settings, f"select {AVERAGES} from {schema}.live_averages")
    golden.holds_for(of_the_nine(rows), {"10s_5s"})
    assert any(stock == "ZZZ" for _, stock, *_ in rows), "a window that is open is there, too"


def test_closed_windows_are_appended_to_delta_and_its_commits_are_known_to_the_ledger(
    place: Place, sent: list[Tick]
) -> None:
    from de_stack.flow import commits
    from de_stack.flow.ledger import Ledger

    query = load_queries()["stocks.closed_averages"]
    table = query.sink.table(place.settings)  # type: ignore[attr-defined]
    rows = Lake(place.settings).query(table.uri, f"select {AVERAGES} from t").to_pylist()
    golden.holds_for(of_the_nine([tuple(r.values()) for r in rows]), {"10s_5s", "3s_1s", "6s"})
    assert commits.reconcile(Lake(place.settings), Ledger(place.settings), table) > 0


def test_totals_are_replaced_as_a_whole(place: Place, sent: list[Tick]) -> None:
    schema = place.settings.names.schema("stocks")
    sql = (
        "select stock_name, trade_type, max_price, avg_quantity, count "
        f"from {schema}.live_totals where stock_name <> 'ZZZ' order by 1, 2"
    )
    place.until(lambda: serving(place.settings, sql) == golden.TOTALS, "totals")


def test_the_last_minutes_of_telemetry_are_in_postgres(place: Place, sent: list[Tick]) -> None:
    schema = place.settings.names.schema("telemetry")
    sql = (
        "select source_id, metric, window_start, window_end, count, min, max, mean, last_value, "
        f"last_measured_at from {schema}.live_measures"
    )
    place.until(lambda: sum(r[4] for r in serving(place.settings, sql)) == 3, "live measures")
    end, last = MEASURED + timedelta(minutes=1), MEASURED + timedelta(seconds=2)
    row = ("press", "temperature", MEASURED, end, 3, 1.0, 3.0, 2.0, 2.0, last)
    assert serving(place.settings, sql) == [row]


def test_bad_messages_stop_no_query(place: Place, sent: list[Tick]) -> None:
    assert states(place) == {"running"}
    assert {told["error"] for told in place.status().values()} == {""}
    assert {told["restarts"] for told in place.status().values()} == {0}


def test_rows_behind_the_watermark_change_nothing_and_are_counted(
    place: Place, sent: list[Tick]
) -> None:
    before = from_topic(place.settings), from_lake(place.settings), from_postgres(place.settings)
    # It lies in two windows of ten seconds, three of three, one of six: all have closed.
    late = send(place.settings, [Tick("AGL", 1e6, MINUTE + timedelta(seconds=12.1))])
    closed = ("stocks.averages", "stocks.closed_averages")
    place.until_read(sent, *closed, "stocks.live_averages")

    def dropped() -> dict[str, int]:
        found = {q: place.batches(q).newest() for q in (*closed, "stocks.live_averages")}
        return {q: row["total_dropped"] for q, row in found.items() if row}

    wanted = dict.fromkeys(closed, 6) | {"stocks.live_averages": 2}
    place.until(lambda: dropped() == wanted, "what was left out is in the ledger")
    for query, rows in wanted.items():
        (count,) = {expected([*sent, *late], place.history(query)).late[tick] for tick in late}
        assert count == 6
        assert place.status()[query]["dropped_rows"] in (rows, 0)
    after = from_topic(place.settings), from_lake(place.settings), from_postgres(place.settings)
    assert after == before
    sent += late


def test_a_query_in_one_go_gives_the_same_windows(place: Place, sent: list[Tick]) -> None:
    """The same rule, from the same topic, in micro-batches that end when all has been read."""
    from de_stack.defs.stocks.core import rules
    from de_stack.flow.continuous.running import good_rows
    from de_stack.resources.kafka import Kafka

    spark, settings = session(place.settings)(), place.settings
    topic = settings.names.topic(*TICKS.topic)
    state = Kafka(settings).topic_state(topic)
    assert state is not None
    ticks = good_rows(settings, spark, load_queries()["stocks.averages"], topic, state.topic_id)
    windows = [(w.name, w.length, w.slide) for w in TICKS.windows]
    name = f"once_{settings.namespace}"
    query = (
        rules.moving_averages(ticks, windows, TICKS.watermark)
        .writeStream.format("memory")
        .queryName(name)
        .outputMode("append")
        .trigger(availableNow=True)
        .start()
    )
    assert query.awaitTermination(LONG_S)
    rows = [tuple(row) for row in spark.table(name).select(*AVERAGES.split(", ")).collect()]
    spark.sql(f"drop view if exists {name}")
    utc = [(*r[:2], *(t.replace(tzinfo=UTC) for t in r[2:4]), *r[4:]) for r in rows]
    found = {r[:3]: r[4:] for r in utc}
    assert len(found) == len(rows)
    # In one batch nothing is late: the row that the queries left out is in.
    late = [t for t in sent if t.price == 1e6]
    theirs, _ = from_topic(settings)
    touched = {k for k in found if found[k][2] == 1e6}
    assert len(touched) == 6 * len(late)
    rest = {k: v for k, v in found.items() if k not in touched}
    assert not differences(rest, {k: v for k, v in theirs.items() if k not in touched})


# --- what is told of it ---


def late(place: Place, sent: list[Tick], stock: str) -> None:
    """One more trade that lies in six windows, all closed; the ledger has figures of all batches.

    Its batch is the last one, for it moves no watermark.
    """
    sent += send(place.settings, [Tick(stock, 1e6, MINUTE + timedelta(seconds=12.1))])
    until_told(place, sent)


def until_told(place: Place, sent: list[Tick]) -> None:
    place.until_read(sent, *WITH_WINDOWS)
    everything = place.history("stocks.averages").batches[-1].ends

    def is_told(query: str) -> bool:
        history, newest = place.batches(query).history(), place.batches(query).newest()
        if history is None or newest is None:
            return False
        last = history.batches[-1]
        said = place.status().get(query, {}).get("batch_id")
        return last.ends == everything and last.number == newest["batch_id"] == said

    for query in (*WITH_WINDOWS, "stocks.live_totals"):
        place.until(lambda q=query: is_told(q), f"figures of {query}")


def observed(place: Place, cursor: str | None) -> tuple[dict[str, dict[str, Any]], str | None]:
    """One tick of the sensor: asset -> what it says of it; and the cursor."""
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_sensor_context(
            instance=instance, cursor=cursor, resources={"settings": place.settings}
        )
        result = observe.observe_queries(context)
    if isinstance(result, dg.SkipReason):
        return {}, None
    assert isinstance(result, dg.SensorResult)
    return {
        event.asset_key.path[1]: {name: value.value for name, value in event.metadata.items()}
        for event in result.asset_events
    }, result.cursor


def lags(place: Place, query: str, batches: list[int]) -> list[int | None]:
    """The lag of batches, as the ledger has it."""
    from de_stack.resources.postgres import Postgres

    of = (place.batches(query).query, place.history(query).query_id)
    sql = "select batch_id, lag_rows from ledger.query_batches where (query, query_id) = (%s, %s)"
    with Postgres(place.settings, "ledger").transaction("read in a test") as db:
        found = dict(db.execute(sql.encode(), of).fetchall())
    return [found.get(number) for number in batches]


def test_the_sensor_says_of_each_query_once_what_its_last_batch_was(
    place: Place, sent: list[Tick]
) -> None:
    late(place, sent, "AMC")
    told, cursor = observed(place, None)
    names = {"topic_averages", "live_averages", "live_closed_averages", "live_totals"}
    assert told.keys() == names
    history = place.history("stocks.averages")
    before, last = history.batches[-2:]
    wanted = expected(sent, history)
    assert TICKS.watermark is not None
    rows = len(sent) + len(BAD)
    assert told["topic_averages"] == {
        "batch_id": last.number,
        "input_rows": sum(last.ends.values()) - sum(before.ends.values()),
        "watermark": (max(tick.at for tick in sent) - TICKS.watermark).isoformat(),
        "state_rows": len(wanted.open_too) - len(wanted.closed),
        "lag_rows": 0,
        "duration_ms": mock.ANY,
        "rows_so_far": rows,
        # Each late trade has its windows for itself: no two of them are one group.
        "dropped_by_watermark_so_far_at_least": sum(wanted.late.values()),
        "done_at": mock.ANY,
        "query_id": history.query_id,
    }
    assert told["topic_averages"]["input_rows"] == 1 and told["topic_averages"]["state_rows"] > 0
    assert sum(wanted.late.values()) >= 6 and told["topic_averages"]["duration_ms"] > 0
    assert {name: told[name]["rows_so_far"] for name in names} == dict.fromkeys(names, rows)
    assert told["live_totals"]["watermark"] == "none yet"

    assert observed(place, cursor) == ({}, None)
    sent += send(place.settings, [Tick("ABC", 4.0, MINUTE + timedelta(seconds=121))])
    until_told(place, sent)
    told, _ = observed(place, cursor)
    assert {name: told[name]["rows_so_far"] for name in told} == dict.fromkeys(names, rows + 1)


def test_the_page_of_metrics_has_what_is_written_of_it_and_the_figures_of_the_ledger(
    place: Place, sent: list[Tick], typed: Callable[..., Result]
) -> None:
    late(place, sent, "ANZ")
    name = "stocks.averages"
    (status,) = json.loads(typed("status", name, "--json").stdout)
    found, newest = place.metrics()[name], place.batches(name).newest()
    text = (REPOSITORY / "docs" / "streaming.md").read_text(encoding="utf-8")
    (written,) = re.findall(r"`/metrics` of the host.*?\n\n", text, re.DOTALL)
    first, *others = re.findall(r"`(?:de_stack_query)?(_[a-z_]+)`", written)
    names = {f"de_stack_query{part}" for part in (first, *others)}
    assert names == found.keys()
    assert newest is not None and TICKS.watermark is not None
    watermark = max(tick.at for tick in sent) - TICKS.watermark
    wanted = {
        "up": 1,
        "batch_id": newest["batch_id"],
        "batch_input_rows": 1,
        "batch_seconds": newest["duration_ms"] / 1000,
        "batch_dropped_rows": 6,
        "state_rows": newest["state_rows"],
        "lag_rows": newest["lag_rows"],
        "watermark_seconds": watermark.timestamp(),
        "input_rows_total": len(sent) + len(BAD),
        "dropped_rows_total": newest["total_dropped"],
        "restarts_total": 0,
    }
    assert found == {f"de_stack_query_{part}": value for part, value in wanted.items()}
    assert (newest["total_rows"], newest["watermark_ms"]) == (
        len(sent) + len(BAD),
        watermark.timestamp() * 1000,
    )
    same = ("batch_id", "state_rows", "lag_rows")
    assert [status[part] for part in same] == [wanted[part] for part in same]
    assert (status["input_rows"], status["dropped_rows"], status["restarts"]) == (1, 6, 0)
    assert datetime.fromisoformat(status["watermark"]) == watermark
    assert {q for q, of in place.metrics().items() if of["de_stack_query_up"] == 1} == set(ALL)


# --- what people type, while the host runs ---


@pytest.fixture
def typed(place: Place, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """`de-stack stream ...` in this place."""
    for name, value in place.env.items():
        monkeypatch.setenv(name, value)

    def run(*words: str, code: int = 0) -> Result:
        done = CliRunner().invoke(application(), ["stream", *words])
        # `main` says a failure and ends with 1.
        assert done.exit_code == code, (done.output, done.exception)
        return done

    return run


def test_people_list_stop_and_start_a_query(
    place: Place, sent: list[Tick], typed: Callable[..., Result]
) -> None:
    rows = json.loads(typed("list", "--json").stdout)
    assert [row["query"] for row in rows] == list(load_queries())
    assert {row["state"] for row in rows} == {"running"}
    found = json.loads(typed("status", "--json").stdout)
    assert all(row["wanted"] and row["state"] == "running" for row in found)
    assert "stocks.averages" in typed("status").stdout
    before = place.history("stocks.live_averages").batches[-1].number
    typed("stop", "stocks.live_averages")
    (row,) = json.loads(typed("status", "stocks.live_averages", "--json").stdout)
    assert (row["wanted"], row["state"]) == (False, "stopped")
    sent += send(place.settings, [Tick("ABC", 5.0, MINUTE + timedelta(minutes=3))])
    place.until_read(sent, "stocks.averages")
    assert place.history("stocks.live_averages").batches[-1].number == before
    assert "running, update to postgres" in typed("start", "stocks.live_averages").stdout
    place.until_read(sent, "stocks.live_averages")
    open_too = expected(sent, place.history("stocks.live_averages")).open_too
    wanted = {k: v for k, v in open_too.items() if k[0] == "10s_5s"}
    assert not differences(from_postgres(place.settings), wanted)


def test_a_name_that_no_query_has_is_refused_with_those_that_there_are(
    place: Place, sent: list[Tick], typed: Callable[..., Result]
) -> None:
    for command in ("start", "stop", "status"):
        failure = typed(command, "stocks.nothing", code=1).exception
        assert isinstance(failure, Failure) and "one of: stocks.averages" in str(failure)


def test_a_second_host_is_told_who_has_the_query_and_leaves_it_alone(
    place: Place, sent: list[Tick], stack: Settings, tmp_path: Path
) -> None:
    other = a_place(stack, tmp_path, place.settings.namespace)
    other.env["DE_STACK_CHECKPOINT_URI"] = place.env["DE_STACK_CHECKPOINT_URI"]
    before = place.status()["stocks.averages"]
    try:
        second = other.host("stocks.averages", metrics_port=0)
        # The process that is called host there is the one that its place has started.
        words = f"start query stocks.averages: another process runs it: host {place.pid} on"
        other.until(lambda: words in other.said(), "the second host says who has the query")
        name = "stocks.averages"
        other.until(lambda: other.status().get(name, {}).get("state") == "retrying", "it waits")
        assert second.poll() is None
        told = other.metrics()[name]
        assert told["de_stack_query_up"] == 0 and told["de_stack_query_restarts_total"] > 0
    finally:
        other.end()
    sent += send(place.settings, [Tick("ABC", 6.0, MINUTE + timedelta(minutes=3.2))])
    place.until_read(sent, "stocks.averages")
    after = place.status()["stocks.averages"]
    assert (after["state"], after["restarts"]) == ("running", before["restarts"])


# --- stopped and begun again ---


def test_a_restart_goes_on_from_the_checkpoint_and_rows_are_late_by_the_batch_before(
    place: Place, sent: list[Tick]
) -> None:
    queries = ("stocks.averages", "stocks.closed_averages", "stocks.live_averages")
    until_told(place, sent)
    numbers = {q: place.history(q).batches[-1].number for q in queries}
    ids = {q: place.history(q).query_id for q in queries}
    said = stop(place)
    assert "Traceback" not in said and "stopped" in said
    # All waits in one partition, and a batch takes two of it: what is in which batch is known.
    base = MINUTE + timedelta(minutes=5)
    seconds = (1, 2, 20, 3, 4, 21, 5, 40, 22, 41, 36, 60)
    sent += send(
        place.settings,
        [Tick("ABC", float(i + 1), base + timedelta(seconds=s)) for i, s in enumerate(seconds)],
    )
    place.host(DE_STACK_SLICE_MAX_ROWS="2")
    place.until_read(sent, *queries)
    for query in queries:
        history = place.history(query)
        assert history.query_id == ids[query]
        assert history.batches[-1].number >= numbers[query] + len(seconds) // 2
        assert [b.number for b in history.batches] == list(range(len(history.batches)))
        ends = [sum(b.ends.values()) for b in history.batches if b.number > numbers[query]]
        assert max(b - a for a, b in zip(ends, ends[1:], strict=False)) == 2
        # What a batch has left in the topic is its lag.
        new = [b.number for b in history.batches if b.number > numbers[query]]
        place.until(lambda q=query, of=new: None not in lags(place, q, of), "figures")
        assert lags(place, query, new) == [ends[-1] - end for end in ends]
        assert ends[-1] - ends[0] == len(seconds) - 2
    by_averages = expected(sent, place.history("stocks.averages"))
    left_out = {t.price: by_averages.late[t] for t in sent if t.at >= base}
    # 20 s came in the batch before 3 and 4, which are taken all the same: its watermark is that of
    # the batch after it. Then they are late: 5, and of 22 and 36 the windows that had closed.
    assert left_out[4.0] == 0
    assert left_out[5.0] + left_out[7.0] > 0
    found, again = from_topic(place.settings)
    assert again == 0
    assert not differences(found, by_averages.closed)
    assert not differences(
        from_lake(place.settings), expected(sent, place.history("stocks.closed_averages")).closed
    )
    open_too = expected(sent, place.history("stocks.live_averages")).open_too
    assert not differences(
        from_postgres(place.settings), {k: v for k, v in open_too.items() if k[0] == "10s_5s"}
    )


def test_a_batch_that_closes_no_window_makes_no_version_of_the_table(
    place: Place, sent: list[Tick]
) -> None:
    query = load_queries()["stocks.closed_averages"]
    until_told(place, sent)
    # Moves no watermark as far as the end of a window.
    sent += send(place.settings, [Tick("ABC", 7.0, max(t.at for t in sent))])
    place.until_read(sent, query.name)
    with Postgres(place.settings, "ledger").transaction("in a test") as db:
        (empty,) = db.execute(
            "select count(*) from ledger.query_batches where query = %s and written_rows = 0",
            (place.settings.names.query(query.domain, query.entity),),
        ).fetchone()  # type: ignore[misc]
    assert empty > 1
    table = query.sink.table(place.settings)  # type: ignore[attr-defined]
    versions = DeltaTable(table.uri).history()
    rows = [v["operationMetrics"]["numOutputRows"] for v in versions if v["operation"] == "WRITE"]
    # But the first of a checkpoint, which says that nothing of an older one stands.
    assert [n for n in rows if n == "0"] in ([], ["0"]) and len(rows) > 1
    assert not differences(
        from_lake(place.settings), expected(sent, place.history(query.name)).closed
    )


def test_a_table_in_delta_is_compacted_while_its_query_goes_on(
    place: Place, sent: list[Tick]
) -> None:
    until_told(place, sent)
    for minute in (7.0, 7.2, 7.4, 7.6):
        # Each closes windows of the one before: a file.
        sent += send(place.settings, [Tick("ABC", 7.0, MINUTE + timedelta(minutes=minute))])
        place.until_read(sent, "stocks.closed_averages")
    table = load_queries()["stocks.closed_averages"].sink.table(place.settings)  # type: ignore[attr-defined]
    done = maintain(place.settings, table, "r1")
    # A file for each batch, until somebody cares.
    assert done is not None and done.replaced > 3 and done.after.files == 1
    sent += send(place.settings, [Tick("ABC", 7.0, MINUTE + timedelta(minutes=8))])
    place.until_read(sent, "stocks.closed_averages")
    wanted = expected(sent, place.history("stocks.closed_averages")).closed
    assert not differences(from_lake(place.settings), wanted)
    assert Lake(place.settings).size(table.uri).files > 1


def test_a_checkpoint_of_other_windows_or_another_topic_is_refused_until_begun_anew(
    place: Place, sent: list[Tick], typed: Callable[..., Result]
) -> None:
    from de_stack.resources.kafka import Kafka, ensure_topics

    with Postgres(place.settings, "ledger").transaction("in a test") as db:
        db.execute(
            """update ledger.queries set shape = '["20s", "watermark 0:00:05"]' where query = %s""",
            (place.settings.names.query("stocks", "averages"),),
        )
    name = "stocks.averages"
    typed("stop", name)
    failure = typed("start", name, code=1).exception
    assert "its state was made with ['20s'" in str(failure)
    (row,) = json.loads(typed("status", name, "--json", code=1).stdout)
    assert (row["state"], row["wanted"]) == ("failed", True)
    others = json.loads(typed("status", "--json", code=1).stdout)
    assert {r["state"] for r in others if r["query"] != name} == {"running"}
    before, _ = from_topic(place.settings)
    old = place.history(name)
    typed("start", name, "--anew")
    place.until(lambda: place.history(name).query_id != old.query_id, "a new checkpoint")
    place.until_read(sent, name)
    # All that the topic has was computed once more: what had been given comes again, under its id.
    records = in_topic(place.settings)
    assert len({dict(r.headers)["ce_id"] for r in records}) < len(records)
    kept = list((place.settings.home / "checkpoints").rglob("averages.before-*"))
    assert len(kept) == 1, "the old checkpoint is kept"
    assert before

    stop(place)
    topic = place.settings.names.topic(*TICKS.topic)
    with Kafka(place.settings).admin("in a test") as admin:
        admin.delete_topics([topic])
    place.until(lambda: Kafka(place.settings).topic_state(topic) is None, "the topic is gone")
    ensure_topics(place.settings)
    place.host()
    place.until(lambda: state(place, name) == "failed", "the new topic is noticed")
    assert "was made anew: the checkpoint is of" in place.status()[name]["error"]
    # Of another topic, and begun after it: it runs, or soon does.
    other = "telemetry.live_measures"
    place.until(lambda: state(place, other) == "running", "the other topic's query runs")
    old = place.history(name)
    typed("start", name, "--anew")
    new = send(place.settings, [*nine(), Tick("ZZZ", 1.0, MINUTE + timedelta(minutes=2))])
    place.until(lambda: place.history(name).query_id != old.query_id, "a new checkpoint")
    place.until_read(new, name)
    assert "Traceback" not in stop(place)
