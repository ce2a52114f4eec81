"""One query in its host: what moves it from state to state. No Spark is started."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.streaming import progress
from de_stack.streaming.hosted import FIRST_WAIT_S, LONGEST_WAIT_S, Hosted
from de_stack.streaming.queries import load_queries, load_query
from de_stack.streaming.wanted import Wanted

QUERY = load_query("stocks.averages")
OURS = (
    "[FOREACH_BATCH_USER_FUNCTION_ERROR] An error occurred\n"
    "  File de_stack/resources/postgres.py, line 1, in transaction\n"
    "de_stack.failures.TransientFailure: write batch 3: away (a retry can help)\n"
)


class FakeQuery:
    """Says what a test lets it say, as Spark's query does."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.read = 0
        self.isActive = True
        self.error: str | None = None
        self.status = {"isTriggerActive": False}
        self.is_stopped = False

    @property
    def _jsq(self) -> FakeQuery:
        return self

    def recentProgress(self) -> list[Any]:  # noqa: N802 - Spark's name
        return [Said(self, one) for one in self.said]

    def exception(self) -> str | None:
        return self.error

    def stop(self) -> None:
        self.is_stopped, self.isActive = True, False


class Said:
    def __init__(self, query: FakeQuery, content: dict[str, Any]) -> None:
        self._query, self._content = query, content

    def json(self) -> str:
        self._query.read += 1
        return json.dumps(self._content)


def batch(number: int, rows: int = 1, dropped: int = 0, has_run: bool = True) -> dict[str, Any]:
    return {
        "id": "a",
        "runId": "r",
        "batchId": number,
        "timestamp": f"2026-01-01T00:00:{number:02}Z{'' if has_run else ' idle'}",
        "durationMs": {"triggerExecution": 5} | ({"addBatch": 1} if has_run else {}),
        "sources": [{"numInputRows": rows}],
        "stateOperators": [{"numRowsTotal": 4, "numRowsDroppedByWatermark": dropped}],
    }


@pytest.fixture
def running() -> tuple[Hosted, FakeQuery]:
    hosted, spark = Hosted(QUERY), FakeQuery()
    hosted.begin(lambda _: spark, 0.0)  # type: ignore[arg-type]
    assert hosted.state == "running"
    return hosted, spark


def test_each_batch_is_told_once_and_counted_once(running: tuple[Hosted, FakeQuery]) -> None:
    hosted, spark = running
    spark.said = [batch(0, 2), batch(1, 3, dropped=1), batch(2, has_run=False)]
    assert [m.batch_id for m in hosted.look(1.0)] == [0, 1]
    assert hosted.look(2.0) == []
    spark.said.append(batch(2, 4))
    assert [m.batch_id for m in hosted.look(3.0)] == [2]
    assert (hosted.input_rows, hosted.dropped_rows) == (9, 1)
    assert hosted.last["batchId"] == 2


def test_a_look_brings_over_what_is_new_and_no_more(running: tuple[Hosted, FakeQuery]) -> None:
    hosted, spark = running
    spark.said = [batch(n % 60) | {"batchId": n, "timestamp": str(n)} for n in range(200)]
    hosted.look(1.0)
    spark.read = 0
    for second in range(10):
        hosted.look(float(second))
    assert spark.read == 10


def test_a_query_that_ends_by_itself_is_begun_again_after_longer_and_longer_waits() -> None:
    hosted, now, waits = Hosted(QUERY), 0.0, []
    for _ in range(8):
        spark = FakeQuery()
        hosted.begin(lambda _, s=spark: s, now)  # type: ignore[arg-type, misc]
        assert hosted.state == "running"
        spark.isActive, spark.error = False, OURS
        hosted.look(now)
        assert hosted.state == "retrying"
        assert hosted.error.endswith("write batch 3: away (a retry can help)")
        begun = now
        while hosted.state == "retrying":
            now += 0.5
            hosted.begin(lambda _: FakeQuery(), now)  # type: ignore[arg-type, return-value]
        waits.append(now - begun)
        hosted._running = None
        hosted.state = "retrying"
        hosted._not_before = now
    assert waits[0] == FIRST_WAIT_S and waits[-1] == LONGEST_WAIT_S
    assert hosted.restarts == 8


def test_a_batch_that_is_done_makes_the_next_wait_short_again(
    running: tuple[Hosted, FakeQuery],
) -> None:
    hosted, spark = running
    hosted._wait_s, hosted.error = 16.0, "was away"
    spark.said = [batch(0)]
    hosted.look(1.0)
    assert (hosted._wait_s, hosted.error) == (FIRST_WAIT_S, "")


@pytest.mark.parametrize(
    ("raised", "state"),
    [
        (PermanentFailure("start", "no such topic"), "failed"),
        (TransientFailure("start", "away"), "retrying"),
        (RuntimeError("Py4JJavaError: org.apache.hadoop...: No space left"), "retrying"),
        (RuntimeError("[KAFKA_DATA_LOSS.START_OFFSET_RESET] offsets went back"), "failed"),
        (KeyError("id"), "retrying"),
    ],
)
def test_whatever_a_start_raises_is_the_matter_of_this_query_alone(
    raised: Exception, state: str
) -> None:
    hosted = Hosted(QUERY)

    def start(_: Any) -> Any:
        raise raised

    hosted.begin(start, 0.0)
    assert hosted.state == state
    assert hosted.error


@pytest.mark.parametrize(
    ("account", "said", "state"),
    [
        (
            "[FOREACH_BATCH_USER_FUNCTION_ERROR] An error occurred. Return Message: Traceback:\n"
            'psycopg.errors.UndefinedColumn: column "count" does not exist\nLINE 1: ...\n'
            "de_stack.failures.PermanentFailure: write batch 3: serving: column does not exist\n"
            "LINE 1: select count\n               ^ (a retry cannot help); see docs/x.md\n\n"
            "\tat py4j.Protocol.getReturnValue(Protocol.java:476)",
            "column does not exist LINE 1: select count ^ (a retry cannot help); see docs/x.md",
            "failed",
        ),
        (
            "[FOREACH_BATCH_USER_FUNCTION_ERROR] Return Message: Traceback (most recent call):\n"
            "  File ...\npy4j.protocol.Py4JJavaError: An error occurred while calling o1.save.\n"
            ": org.apache.spark.SparkException: Job aborted\n"
            "Caused by: KafkaIllegalStateException: [KAFKA_DATA_LOSS.START] offset 5 is gone\n"
            "\tat org.apache.spark",
            "Caused by: KafkaIllegalStateException: [KAFKA_DATA_LOSS.START] offset 5 is gone",
            "failed",
        ),
        (
            "de_stack.failures.PermanentFailure: an older one (a retry cannot help)\n"
            "de_stack.failures.TransientFailure: write batch 4: away (a retry can help)",
            "write batch 4: away (a retry can help)",
            "retrying",
        ),
        (
            "Return Message: Traceback (most recent call last):\n  File ...\n"
            "Caused by: java.net.ConnectException: Connection refused",
            "Caused by: java.net.ConnectException: Connection refused",
            "retrying",
        ),
    ],
)
def test_a_cause_is_found_far_down_in_the_account_of_a_batch_that_failed(
    running: tuple[Hosted, FakeQuery], account: str, said: str, state: str
) -> None:
    hosted, spark = running
    spark.isActive, spark.error = False, account
    hosted.look(1.0)
    assert hosted.state == state
    assert hosted.error.endswith(said)


def test_what_no_retry_mends_is_not_tried_again_until_it_is_stopped() -> None:
    hosted, starts = Hosted(QUERY), []

    def start(query: Any) -> Any:
        starts.append(query)
        raise PermanentFailure("start", "no such topic")

    for second in range(100):
        hosted.begin(start, float(second))
    assert len(starts) == 1
    hosted.end()
    assert (hosted.state, hosted.error) == ("stopped", "")
    hosted.begin(start, 200.0)
    assert len(starts) == 2


def test_a_query_is_not_stopped_in_the_middle_of_a_batch_unless_that_takes_too_long(
    running: tuple[Hosted, FakeQuery],
) -> None:
    hosted, spark = running
    spark.status["isTriggerActive"] = True
    hosted.end(deadline=0.0)
    assert spark.is_stopped and hosted.state == "stopped"


def test_what_was_done_between_the_last_look_and_the_stop_is_told_by_the_stop(
    running: tuple[Hosted, FakeQuery],
) -> None:
    hosted, spark = running
    spark.said = [batch(0)]
    assert [m.batch_id for m in hosted.look(1.0)] == [0]
    spark.said.append(batch(1, rows=7))
    assert [m.batch_id for m in hosted.end()] == [1]
    assert (hosted.input_rows, hosted.end()) == (8, [])


def test_the_lag_of_a_batch_that_comes_again_after_a_crash_is_not_known() -> None:
    found = batch(3)
    found["sources"] = [
        {
            "numInputRows": 5,
            "latestOffset": {"t": {"0": 9, "1": 5}},
            "endOffset": {"t": {"0": 5, "1": 5}},
        }
    ]
    assert progress.measured(found).lag_rows == 4
    del found["sources"][0]["latestOffset"]
    assert progress.measured(found).lag_rows is None


# --- which are wanted ---


def test_a_query_is_wanted_as_somebody_said_last_and_else_as_its_domain_says(
    tmp_path: Path,
) -> None:
    wanted, queries = Wanted(tmp_path), load_queries()
    on = [name for name, query in queries.items() if query.is_on]
    assert wanted.names(queries) == on
    wanted.say("stocks.averages", on=False)
    wanted.say("stocks.live_totals", on=True, anew=True)
    found = Wanted(tmp_path).names(queries)
    assert "stocks.averages" not in found and "stocks.live_totals" in found
    assert wanted.is_anew("stocks.live_totals") and not wanted.is_anew("stocks.averages")
    wanted.done_anew("stocks.live_totals")
    assert not wanted.is_anew("stocks.live_totals")


@pytest.mark.parametrize("text", ["{", "[]", '{"on": 1}', '{"on": {}, "anew": null}'])
def test_a_file_of_wishes_that_says_something_else_is_refused_by_name(
    tmp_path: Path, text: str
) -> None:
    wanted = Wanted(tmp_path)
    wanted.folder.mkdir()
    (wanted.folder / "wanted.json").write_text(text)
    with pytest.raises(PermanentFailure, match="remove it"):
        wanted.names(load_queries())


# --- what a domain says ---


def test_an_unknown_query_is_refused_with_the_known_ones() -> None:
    with pytest.raises(PermanentFailure, match=r"one of: stocks\.averages"):
        load_query("stocks.nothing")


def test_a_mode_that_its_sink_cannot_take_is_refused() -> None:
    with pytest.raises(ValueError, match="mode complete, its sink takes append, update"):
        replace(QUERY, mode="complete")
