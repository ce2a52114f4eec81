"""The streaming examples of `docs/`, on real services: what each form gives, row by row.

Belongs here: results of the examples' queries, one command line as a user types it. Does not belong
here: the continuous queries of the stack.

All queries run in one session of the Connect server. A session of Spark's own cannot be in the same
process: the one program that is run as a user does has it.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from de_stack.settings import Settings
from de_stack_tests.services import REPOSITORY

FOLDER = REPOSITORY / "docs" / "examples" / "streaming"
STORE = "spark.sql.streaming.stateStore.providerClass"
STORES = "org.apache.spark.sql.execution.streaming.state"
PROGRAMS = sorted(p.stem for p in FOLDER.glob("*.py") if "def main" in p.read_text())


@pytest.fixture(scope="module")
def example() -> Iterator[Callable[[str], ModuleType]]:
    """Loads an example by its path, as if it were run: beside it lies what they share.

    An example itself is not among the known modules, so that its classes go to Spark's workers as
    they are and not by a name that only this process knows.
    """

    def load(name: str) -> ModuleType:
        spec = importlib.util.spec_from_file_location(f"example_{name}", FOLDER / f"{name}.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    before = set(sys.modules)
    sys.path.insert(0, str(FOLDER))
    yield load
    sys.path.remove(str(FOLDER))
    for name in set(sys.modules) - before:
        if str(FOLDER) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture(scope="module")
def spark(stack: Settings) -> Iterator[Any]:
    """A session of its own, set up as `running.session` does, with Spark's default state store."""
    from pyspark.sql import SparkSession

    made = SparkSession.builder.remote(stack.need("spark_remote")).create()  # type: ignore[attr-defined]
    made.conf.set("spark.sql.shuffle.partitions", "2")
    made.conf.set("spark.sql.session.timeZone", "UTC")
    made.conf.set(STORE, f"{STORES}.HDFSBackedStateStoreProvider")
    yield made
    made.stop()


@pytest.fixture
def running(spark: Any) -> Iterator[list[Any]]:
    """Queries that are stopped at the end of a test."""
    queries: list[Any] = []
    yield queries
    for query in queries:
        query.stop()


def at(text: str) -> datetime:
    """A time of the morning that the nine ticks are of, as Spark's client gives it in UTC."""
    return datetime.fromisoformat(f"2018-08-21T{text}")


def plain(rows: list[Any]) -> list[tuple[Any, ...]]:
    return sorted(tuple(row) for row in rows)


def table(spark: Any, name: str) -> list[tuple[Any, ...]]:
    return plain(spark.table(f"`{name}`").collect())


def until(true: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.1)


def user_runs(*words: str, **options: Any) -> subprocess.Popen[str]:
    # The client of this process leaves word in the environment that there is a Connect server.
    clean = {name: v for name, v in os.environ.items() if not name.startswith("SPARK_")}
    command = [sys.executable, *words]
    pipes: Any = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, cwd=REPOSITORY, env=clean, **pipes, **options)


def test_words_of_files_are_counted_over_all_files(spark, example, running, tmp_path) -> None:
    shared = example("word_count_files")
    shared.put(tmp_path, "first.txt", ["To be, or not to be", "", "  that is"])
    running.append(shared.query(spark, tmp_path, sink="memory"))
    running[0].processAllAvailable()
    first = [("be", 2), ("is", 1), ("not", 1), ("or", 1), ("that", 1), ("to", 2)]
    assert table(spark, "words") == first
    shared.put(tmp_path, "second.txt", ["be that"])
    running[0].processAllAvailable()
    assert dict(table(spark, "words")) == dict(first) | {"be": 3, "that": 2}


def test_words_of_a_socket_are_counted_while_they_come(spark, example, running) -> None:
    shared = example("word_count_socket")
    with shared.line_server(("to be or", "not to be"), every_s=0.5) as port:
        running.append(shared.query(spark, port, sink="memory"))
        wanted = [("be", 2), ("not", 1), ("or", 1), ("to", 2)]
        until(lambda: table(spark, "said") == wanted)
        running[0].stop()


def test_a_rate_fills_a_table_that_can_be_asked_meanwhile(spark, example, running) -> None:
    shared = example("rate_to_memory")
    running.append(shared.query(spark, rows_per_second=50))
    until(lambda: sum(shared.look(spark).values()) >= 100)
    running[0].stop()
    values = [value for value, _ in table(spark, "rates")]
    # All from the first on, none twice and none left out.
    assert values == list(range(len(values)))
    seen = shared.look(spark)
    assert seen == {"even": len(values[::2]), "odd": len(values[1::2])}


def test_csv_files_become_parquet_once_each_and_a_broken_line_is_kept(
    spark, example, tmp_path
) -> None:
    shared = example("csv_to_parquet")
    wrong = ["AGL,BUY ,much,233,1534849272066,x", "AGL,BUY ,1,2,1534849272066,x,more"]
    shared.put(tmp_path / "in", "a.csv", [*shared.NINE, shared.FIVE_FIELDS, *wrong])
    shared.run(spark, tmp_path)
    ticks = shared.written(spark, tmp_path, "ticks")
    assert ticks.columns == ["stock_name", "trade_type", "price", "quantity", "event_time"]
    rows = plain(ticks.collect())
    assert len(rows) == 9
    assert rows[0] == ("AGL", "BUY", 496.53, 233, at("11:01:12.066"))
    assert {row[1] for row in rows} == {"BUY", "SELL"}
    broken = shared.written(spark, tmp_path, "broken").collect()
    assert sorted(row.broken for row in broken) == sorted([shared.FIVE_FIELDS, *wrong])
    shared.run(spark, tmp_path)
    assert shared.written(spark, tmp_path, "ticks").count() == 9
    shared.put(tmp_path / "in", "b.csv", [shared.NINE[0]])
    shared.run(spark, tmp_path)
    assert shared.written(spark, tmp_path, "ticks").count() == 10
    assert shared.written(spark, tmp_path, "broken").count() == 3


# Highest price and mean quantity per stock and trade: given with the data, not computed here.
GOLDEN = {
    ("AGL", "BUY"): (496.53, 233),
    ("AGL", "SELL"): (948.21, 554.667),
    ("AMC", "BUY"): (755.46, 231),
    ("AMC", "SELL"): (158.84, 216),
    ("ANZ", "BUY"): (899.60, 490),
    ("ANZ", "SELL"): (494.85, 714),
}


@pytest.fixture
def in_mode(spark, example, tmp_path) -> Callable[[str, str], list[tuple[Any, int]]]:
    """(rows, dropped groups) for each file of the example, in a mode."""
    shared = example("output_modes")

    def run(mode: str, form: str) -> list[tuple[Any, int]]:
        rows = getattr(shared, form)(shared.read_ticks(spark, tmp_path))
        return [(plain(g.rows), g.dropped) for g in shared.run(spark, tmp_path, rows, mode)]

    return run


def by_trade(rows: list[tuple[Any, ...]]) -> dict[tuple[str, str], tuple[float, float]]:
    return {(stock, trade): (price, quantity) for stock, trade, price, quantity in rows}


def test_complete_gives_the_whole_table_after_each_file(in_mode) -> None:
    given = [by_trade(rows) for rows, _ in in_mode("complete", "per_trade")]
    assert [len(rows) for rows in given] == [3, 5, 6, 7, 8]
    assert given[2] == GOLDEN
    assert given[4] == GOLDEN | {("WOW", "BUY"): (30.1, 5), ("TLS", "SELL"): (2.96, 500)}


def test_update_gives_what_a_file_changed(in_mode) -> None:
    given = [by_trade(rows) for rows, _ in in_mode("update", "per_trade")]
    assert [sorted(rows) for rows in given[:3]] == [
        [("AGL", "BUY"), ("AGL", "SELL"), ("AMC", "SELL")],
        [("AGL", "SELL"), ("AMC", "BUY"), ("ANZ", "BUY")],
        [("AGL", "SELL"), ("ANZ", "BUY"), ("ANZ", "SELL")],
    ]
    # Whoever keeps the newest of each has the golden numbers.
    assert given[0] | given[1] | given[2] == GOLDEN


def test_append_gives_a_window_once_and_drops_what_comes_later(in_mode) -> None:
    given = in_mode("append", "per_window")
    assert [rows for rows, _ in given] == [
        [],
        [],
        # The watermark is 11:01:14.088, five seconds behind the ninth tick.
        [(at("11:01:06"), "AMC", 158.84, 1)],
        [
            (at("11:01:12"), "AGL", pytest.approx((496.53 + 26.57 + 948.21) / 3), 3),
            (at("11:01:12"), "AMC", 755.46, 1),
            (at("11:01:12"), "ANZ", pytest.approx((899.60 + 494.85) / 2), 2),
            (at("11:01:18"), "AGL", 910.43, 1),
            (at("11:01:18"), "ANZ", 26.44, 1),
        ],
        [],
    ]
    # Two ticks were dropped: they were grouped before the watermark was asked.
    assert [dropped for _, dropped in given] == [0, 0, 0, 0, 1]


def test_append_without_a_watermark_is_refused(spark, example, tmp_path) -> None:
    said = example("output_modes").refusal(spark, tmp_path)
    assert "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION" in said and "append" in said


def test_processing_time_puts_a_tick_into_the_window_that_spark_saw_it_in(
    spark, example, running, tmp_path
) -> None:
    shared = example("processing_time_windows")
    length = timedelta(seconds=shared.SECONDS)
    began = datetime.now(UTC).replace(tzinfo=None)
    shared.put(tmp_path, "a.csv", shared.NINE[:4])
    running.append(shared.query(spark, tmp_path))
    running[0].processAllAvailable()
    first = table(spark, shared.TABLE)
    assert {row[2]: row[3] for row in first} == {"AGL": 2, "AMC": 2}
    (start, end) = {row[:2] for row in first}.pop()
    assert {row[:2] for row in first} == {(start, end)}
    assert end - start == length and start.second % shared.SECONDS == start.microsecond == 0
    assert began - length < start <= datetime.now(UTC).replace(tzinfo=None)
    # The next window: these ticks are a second older than the last of the others.
    time.sleep(max(0.0, (end - datetime.now(UTC).replace(tzinfo=None)).total_seconds()))
    shared.put(tmp_path, "b.csv", shared.NINE[4:])
    running[0].processAllAvailable()
    later = [row for row in table(spark, shared.TABLE) if row not in first]
    assert {row[2]: row[3] for row in later} == {"AGL": 2, "ANZ": 3}
    assert all(row[0] >= end for row in later)


def test_a_session_ends_with_a_gap_and_is_given_when_the_watermark_passed_it(
    spark, example, running, tmp_path
) -> None:
    shared = example("session_windows")
    shared.put(tmp_path, "nine.csv", shared.NINE)
    running.append(shared.query(spark, tmp_path))
    running[0].processAllAvailable()
    closed = [("AMC", at("11:01:11.061"), at("11:01:14.061"), 1)]
    assert table(spark, shared.TABLE) == closed
    shared.put(tmp_path, "later.csv", [shared.LATER])
    running[0].processAllAvailable()
    assert table(spark, shared.TABLE) == sorted(
        [
            *closed,
            ("AGL", at("11:01:12.066"), at("11:01:18.077"), 3),
            ("AGL", at("11:01:19.088"), at("11:01:22.088"), 1),
            ("AMC", at("11:01:14.072"), at("11:01:17.072"), 1),
            ("ANZ", at("11:01:16.082"), at("11:01:21.087"), 3),
        ]
    )


def test_a_repeat_is_dropped_until_its_id_is_forgotten(spark, example, running, tmp_path) -> None:
    shared = example("deduplication")
    running.append(shared.query(spark, tmp_path))
    seen = []
    for number, lines in enumerate(shared.FILES):
        shared.put(tmp_path, f"{number}.csv", lines)
        running[0].processAllAvailable()
        seen.append(shared.ids(spark))
    assert seen[0] == ["e1 11:01:11", "e2 11:01:12"]
    assert seen[1] == [*seen[0], "e3 11:01:16"]
    assert seen[2] == [*seen[1], "e4 11:01:50"]
    # e4 is known still; e1 is not, its repeat comes after the watermark has passed it.
    assert seen[3] == [*seen[2], "e1 11:01:52"]


def test_a_tick_gets_the_name_of_its_company_and_an_unknown_symbol_stays(
    spark, example, running, tmp_path
) -> None:
    shared = example("stream_static_join")
    symbols = "AGL AMC ANZ BHP BXB CBA CSL IAG MQG NAB ORG RIO S32 SCG SUN TCL TLS WBC WES WOW WPL"
    assert [row[0] for row in plain(shared.companies(spark).collect())] == symbols.split()
    shared.put(tmp_path, "ticks.csv", [*shared.NINE, shared.UNKNOWN])
    running.append(shared.query(spark, tmp_path))
    running[0].processAllAvailable()
    rows = spark.table(shared.TABLE).collect()
    counted = {row.company: sum(row.company == r.company for r in rows) for row in rows}
    assert counted == {
        "AGL Energy": 4,
        "Amcor": 2,
        "Australia and New Zealand Banking Group": 3,
        None: 1,
    }
    assert {row.sector for row in rows if row.stock_name == "ANZ"} == {"Financials"}
    assert [row.stock_name for row in rows if row.company is None] == ["XYZ"]


PAIRS = [
    (at("11:01:13.070"), "AGL", 26.57, 26.5, 26.6, at("11:01:12.070")),
    (at("11:01:14.072"), "AMC", 755.46, 755.4, 755.5, at("11:01:12")),
    (at("11:01:15.077"), "AGL", 948.21, 26.5, 26.6, at("11:01:12.070")),
    (at("11:01:15.077"), "AGL", 948.21, 948.0, 948.4, at("11:01:14.077")),
]
# The last AGL trade is 5.011 s after its quote, that of AMC before it; ANZ's quote is nine s old.
ALONE = [
    (at("11:01:11.061"), "AMC", 158.84, None, None, None),
    (at("11:01:12.066"), "AGL", 496.53, None, None, None),
    (at("11:01:16.082"), "ANZ", 899.60, None, None, None),
    (at("11:01:17.086"), "ANZ", 494.85, None, None, None),
    (at("11:01:18.087"), "ANZ", 26.44, None, None, None),
    (at("11:01:19.088"), "AGL", 910.43, None, None, None),
]


def test_trades_meet_quotes_and_a_trade_without_one_shows_when_both_sides_went_on(
    spark, example, running, tmp_path
) -> None:
    shared = example("stream_stream_join")
    running.extend(shared.query(spark, tmp_path, how) for how in ("inner", "leftOuter"))

    def after(stream: str, name: str, lines: Any) -> list[list[tuple[Any, ...]]]:
        shared.put(tmp_path / stream, name, lines)
        for query in running:
            query.processAllAvailable()
        tables = [spark.table(f"`{how}`").collect() for how in ("inner", "leftOuter")]
        # Nulls have no order.
        return [sorted(map(tuple, rows), key=repr) for rows in tables]

    assert after("trades", "a.csv", shared.NINE) == [[], []]
    pairs = sorted(PAIRS, key=repr)
    assert after("quotes", "a.csv", shared.QUOTES) == [pairs, pairs]
    assert after("trades", "b.csv", [shared.LATER_TRADE]) == [pairs, pairs]
    later = (at("11:01:50"), "WOW", 30.1, 30.0, 30.2, at("11:01:48"))
    assert after("quotes", "b.csv", [shared.LATER_QUOTE]) == [
        sorted([*PAIRS, later], key=repr),
        sorted([*PAIRS, later, *ALONE], key=repr),
    ]


def test_a_price_by_volume_goes_on_from_batch_to_batch(spark, example, running, tmp_path) -> None:
    shared = example("vwap_state")
    try:
        shared.put(tmp_path, "a.csv", shared.NINE[:5])
        running.append(shared.query(spark, tmp_path))
        running[0].processAllAvailable()
        first = table(spark, shared.TABLE)
        agl = 496.53 * 233 + 26.57 * 181 + 948.21 * 540
        amc = 158.84 * 216 + 755.46 * 231
        assert first == [
            ("AGL", pytest.approx(agl / 954, abs=1e-9), 954),
            ("AMC", pytest.approx(amc / 447, abs=1e-9), 447),
        ]
        shared.put(tmp_path, "b.csv", shared.NINE[5:])
        running[0].processAllAvailable()
        later = [row for row in table(spark, shared.TABLE) if row not in first]
        anz = 899.60 * 647 + 494.85 * 714 + 26.44 * 333
        assert later == [
            # Four of its trades were in the first batch.
            ("AGL", pytest.approx((agl + 910.43 * 943) / 1897, abs=1e-9), 1897),
            ("ANZ", pytest.approx(anz / 1694, abs=1e-9), 1694),
        ]
    finally:
        spark.conf.set(STORE, f"{STORES}.HDFSBackedStateStoreProvider")


@pytest.mark.parametrize("mode", ["real-time", "continuous", "micro-batch"])
def test_records_pass_from_topic_to_topic_and_the_broker_says_how_long_it_took(
    spark, example, stack, tmp_path, mode, monkeypatch
) -> None:
    shared = example("real_time")
    # What is patience enough for people is not for a machine that others use as well.
    monkeypatch.setattr(shared, "_DEADLINE_S", 120)
    said = shared.run(spark, stack, tmp_path, mode, count=40, rate=40)
    assert not isinstance(said, str), said
    assert said.records == 40
    # Stamps of one broker: nothing comes out before it went in.
    assert 0 <= said.p50 <= said.p99 <= said.longest


def test_a_form_that_is_refused_says_why(spark, example, stack, tmp_path, monkeypatch) -> None:
    shared = example("real_time")
    monkeypatch.setitem(shared.TRIGGERS, "real-time", {"realTime": "1 second"})
    said = shared.run(spark, stack, tmp_path, "real-time", count=1, rate=1)
    assert "INVALID_STREAMING_REAL_TIME_MODE_TRIGGER_INTERVAL" in said


def test_the_first_example_runs_by_the_line_that_its_help_gives() -> None:
    with user_runs("docs/examples/streaming/word_count_files.py") as program:
        printed, errors = program.communicate(timeout=120)
    assert program.returncode == 0, errors
    first, _, second = printed.partition("a second file appears")
    assert "Batch: 0" in first and "|stream|    2|" in first and "|   the|    2|" in first
    assert "Batch: 1" in second and "|   the|    3|" in second and "ERROR" not in errors


def test_ctrl_c_ends_an_example_without_a_page_of_errors(stack) -> None:
    remote = ("--remote", stack.need("spark_remote"))
    with user_runs("docs/examples/streaming/rate_to_memory.py", *remote) as program:
        assert program.stdout is not None
        assert program.stdout.readline().startswith("{")
        program.send_signal(signal.SIGINT)
        printed, errors = program.communicate(timeout=30)
    assert program.returncode == 130 and printed.endswith("stopped\n")
    assert "Traceback" not in errors


@pytest.mark.parametrize("name", PROGRAMS)
def test_help_of_an_example_is_its_docstring(example, name, monkeypatch, capsys) -> None:
    shared = example(name)
    monkeypatch.setattr(sys, "argv", [name, "--help"])
    with pytest.raises(SystemExit):
        shared.main()
    printed = capsys.readouterr().out
    assert f"python docs/examples/streaming/{name}.py" in printed and "--remote" in printed


def test_every_example_is_in_the_table_of_the_page() -> None:
    page = (REPOSITORY / "docs" / "streaming-forms.md").read_text(encoding="utf-8")
    assert len(PROGRAMS) == 12
    for name in PROGRAMS:
        assert f"(examples/streaming/{name}.py)" in page
    assert Path(FOLDER / "data" / "nine_ticks.csv").read_text().count("\n") == 9


# What the page says is refused, in its words.
REFUSED = {
    "session windows in update": "STREAMING_OUTPUT_MODE.UNSUPPORTED_OPERATION",
    "state on the default store": "UNSUPPORTED_FEATURE.STORE_BACKEND_NOT_SUPPORTED_FOR_TWS",
    "files without a schema": "Schema must be specified",
    "real-time in append": "STREAMING_REAL_TIME_MODE.OUTPUT_MODE_NOT_SUPPORTED",
    "real-time aggregate": "STREAMING_REAL_TIME_MODE.OPERATOR_OR_SINK_NOT_IN_ALLOWLIST",
    "real-time into memory": "STREAMING_REAL_TIME_MODE.OPERATOR_OR_SINK_NOT_IN_ALLOWLIST",
    "continuous aggregate": "Continuous processing does not support Aggregate operations",
}


@pytest.mark.parametrize("tried", REFUSED)
def test_what_the_page_calls_refused_is_refused(
    spark, example, stack, tmp_path, running, tried
) -> None:
    from pyspark.errors import PySparkException

    page = (REPOSITORY / "docs" / "streaming-forms.md").read_text(encoding="utf-8")
    real_time, shared = example("real_time"), example("session_windows")
    shared.put(tmp_path / "in", "nine.csv", shared.NINE)
    servers = {"kafka.bootstrap.servers": stack.need("kafka_bootstrap")}

    def start(rows: Any, mode: str, sink: str = "memory", **trigger: str) -> None:
        place = str(tmp_path / "checkpoint")
        writer = rows.writeStream.outputMode(mode).format(sink).queryName("refused")
        writer = writer.options(**servers).option("topic", topic)
        if trigger:
            writer = writer.option("checkpointLocation", place).trigger(**trigger)
        query = writer.start()
        running.append(query)
        # Some are refused when their first batch is planned.
        if trigger:
            query.awaitTermination(90)
        else:
            query.processAllAvailable()

    with real_time.topics(stack) as (topic, _):
        records = spark.readStream.format("kafka").options(**servers).option("subscribe", topic)
        values = records.load().select("value")
        grouped = values.groupBy("value").count().select("value")
        ticks = shared.read_ticks(spark, tmp_path / "in")
        attempts: dict[str, Callable[[], None]] = {
            "session windows in update": lambda: start(shared.per_session(ticks), "update"),
            "state on the default store": lambda: start(
                example("vwap_state").vwap(ticks), "update"
            ),
            "files without a schema": lambda: start(
                spark.readStream.csv(str(tmp_path / "in")), "append"
            ),
            "real-time in append": lambda: start(values, "append", "kafka", realTime="5 seconds"),
            "real-time aggregate": lambda: start(grouped, "update", "kafka", realTime="5 seconds"),
            "real-time into memory": lambda: start(values, "update", realTime="5 seconds"),
            "continuous aggregate": lambda: start(
                grouped, "update", "kafka", continuous="1 second"
            ),
        }
        with pytest.raises(PySparkException) as said:
            attempts[tried]()
    assert REFUSED[tried] in str(said.value) and REFUSED[tried] in page
