"""`de-stack replay`: a file becomes a stream on real services, its numbers are the file's."""

from __future__ import annotations

import json
import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import duckdb
import pytest

from de_stack import partitions
from de_stack.cli.replay_wait import chain_of
from de_stack.contracts import load_stream
from de_stack.contracts.topics import MAX_MESSAGE_BYTES
from de_stack.flow import letter_shelf
from de_stack.flow.arrivals import Arrivals, Sending
from de_stack.flow.dead_letters import enter_letters
from de_stack.flow.ledger import Ledger
from de_stack.flow.sent_files import SentFiles
from de_stack.orchestration.blocks import STEP_TAG, STREAM_TAG
from de_stack.resources.kafka import Kafka
from de_stack.resources.kafka_messages import read_range
from de_stack.settings import Settings
from de_stack.sources.replay.files import sha256
from de_stack_tests.integration.pipeline import (
    CHAIN,
    HOUR,
    enter_namespace,
    materialize,
    measure,
    produce,
    serving,
    this_hour,
)
from de_stack_tests.integration.test_blocked_streams import delete_everything
from de_stack_tests.integration.test_late import used_long_ago

STREAM = load_stream("telemetry.measures")
COMMAND = [str(Path(sys.executable).parent / "de-stack"), "replay", STREAM.name]
MAPPED = ["--map", "measured_at=timestamp", "--set", "source_id=machine", "--set", "metric=t"]


def begin(*arguments: object) -> subprocess.Popen[str]:
    command = [*COMMAND, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def replayed(*arguments: object, code: int = 0) -> tuple[dict[str, Any], str]:
    """The command alone: (what it says to programs, what it says to people)."""
    out, err = (process := begin(*arguments, "--json")).communicate(timeout=60)
    assert process.returncode == code, err
    return json.loads(out) if out else {}, err


def followed(settings: Settings, *arguments: object, code: int = 0) -> tuple[dict[str, Any], str]:
    """The command with `--wait`, while assets run as the sensors would ask for them."""
    process = begin(*arguments, "--wait", "--json", "--timeout", 200)
    try:
        while process.poll() is None:
            materialize(["bronze_measures"], this_hour())
            for first, last in partitions.contiguous(pending(settings), "hour"):
                materialize(CHAIN, first, last)
            time.sleep(0.5)
        out, err = process.communicate()
    finally:
        process.kill()
    assert process.returncode == code, err
    return json.loads(out) if out else {}, err


def pending(settings: Settings) -> list[datetime]:
    raw, typed = (settings.names.table_id("telemetry", x, "measures") for x in ("bronze", "silver"))
    return Ledger(settings).pending(typed, raw, STREAM.look_back)


def messages(settings: Settings) -> list[Any]:
    state = Kafka(settings).topic_state(settings.names.topic("telemetry", "measures"))
    assert state is not None
    return list(read_range(settings, state.topic, state.begin, state.end))


def arrived(settings: Settings) -> int:
    """How many messages the topic has: to ask that takes no time that a sender could use to end."""
    state = Kafka(settings).topic_state(settings.names.topic("telemetry", "measures"))
    assert state is not None
    return sum(state.end.values()) - sum(state.begin.values())


def write(path: Path, first: datetime, rows: int, step: timedelta = timedelta(minutes=1)) -> Path:
    """A file of a machine: naive times, and now and then the same time with another value."""
    times = [first + i * step for i in range(rows)]
    times[50:60] = times[40:50]
    lines = [f"{at:%Y-%m-%d %H:%M:%S},{math.sin(i) * 40 + i / 9!r}" for i, at in enumerate(times)]
    path.write_text("\ufefftimestamp,value\r\n" + "\r\n".join(lines), encoding="utf-8")
    return path


def published(settings: Settings) -> list[tuple[Any, ...]]:
    return serving(
        settings,
        "select (window_start at time zone 'UTC')::timestamp, count, min, max, mean, stddev, p50, "
        f"p90, p99 from {settings.names.schema('telemetry')}.stats_measures "
        "where source_id = 'machine' and metric = 't' order by 1",
    )


def computed(path: Path, days: int) -> list[tuple[Any, ...]]:
    """The same by another engine, from the file itself."""
    return duckdb.execute(
        "select time_bucket(interval 5 minutes, moved) as w, count(*), min(value), max(value), "
        "avg(value), stddev_samp(value), quantile_cont(value, 0.5), quantile_cont(value, 0.9), "
        "quantile_cont(value, 0.99) "
        "from (select timestamp + to_days($days) as moved, value from read_csv($path)) "
        "group by 1 order by 1",
        {"days": days, "path": str(path)},
    ).fetchall()


def assert_equal(found: list[tuple[Any, ...]], wanted: list[tuple[Any, ...]]) -> None:
    assert len(found) == len(wanted) > 0
    for got, want in zip(found, wanted, strict=True):
        assert got[:4] == want[:4], "windows, counts, minima and maxima are the same"
        assert got[4:] == pytest.approx(want[4:], rel=1e-9)


def test_postgres_has_what_duckdb_computes_from_the_file_also_when_it_is_sent_twice(
    settings, tmp_path
) -> None:
    path = write(tmp_path / "machine.csv", datetime(2013, 12, 2, 21, 15), 600)  # noqa: DTZ001
    arguments = [path, *MAPPED, "--shift-to-now"]
    first, said = followed(settings, *arguments)
    assert "taken as UTC" in said
    days = first["shift_days"]
    last = datetime(2013, 12, 3, 7, 14, tzinfo=UTC) + timedelta(days=days)
    assert last <= datetime.now(UTC) < last + timedelta(days=1)
    wanted = computed(path, days)
    assert sum(row[1] for row in wanted) == 600
    assert_equal(published(settings), wanted)
    counts = ("rows", "sent", "published", "dead", "held", "missing", "repeated")
    assert [first[name] for name in counts] == [600, 600, 600, 0, 0, 0, 0]

    second, said = followed(settings, *arguments)
    assert f"moved by {days} days, as on" in said
    assert [second[name] for name in counts] == [600, 600, 600, 0, 0, 0, 600]
    assert_equal(published(settings), wanted)


def test_on_another_day_the_file_is_moved_by_the_same_days(settings, tmp_path) -> None:
    path = write(tmp_path / "machine.csv", datetime(2013, 12, 2, 21, 15), 100)  # noqa: DTZ001
    first, _ = replayed(path, *MAPPED, "--shift-to-now")
    table = settings.names.table_id("telemetry", "bronze", "measures")
    with SentFiles(settings, table)._postgres.transaction("move time in a test") as db:
        db.execute("update ledger.sent_files set shift_days = shift_days - 3")
    second, said = replayed(path, *MAPPED, "--shift-to-now")
    assert second["shift_days"] == first["shift_days"] - 3
    assert "as on" in said
    # A copy is the same file, another use of it has the same times, another file its own.
    copy = tmp_path / "copy.csv"
    copy.write_bytes(path.read_bytes())
    again, _ = replayed(copy, *MAPPED, "--set", "value=1", "--shift-to-now", "--as", "ones")
    assert again["shift_days"] == second["shift_days"]
    copy.write_bytes(path.read_bytes() + b"\r\n2013-12-02 21:15:00,1")
    assert replayed(copy, *MAPPED, "--shift-to-now")[0]["shift_days"] == first["shift_days"]
    entries = SentFiles(settings, table).earlier(sha256(path))
    assert [(f.name, f.good) for f in entries] == [("", 100), ("", 100), ("ones", 100)]


def test_another_mapping_of_the_same_file_is_refused_unless_it_is_meant(settings, tmp_path) -> None:
    path = write(tmp_path / "machine.csv", datetime(2026, 11, 2, 21, 15), 30)  # noqa: DTZ001
    replayed(path, *MAPPED)
    other = [path, *MAPPED[:-1], "metric=other"]
    _, said = replayed(*other, code=1)
    assert "with another mapping" in said
    assert "--as NAME" in said
    assert len(messages(settings)) == 30, "nothing was sent"
    replayed(*other, "--as", "other")
    replayed(*other, "--mend")
    ids = Counter(dict(m.headers)["ce_id"] for m in messages(settings))
    assert sorted(ids.values()) == [1] * 30 + [2] * 30
    # In silver each event would be there at both times.
    _, said = replayed(*other, "--mend", "--time-zone", "Asia/Tokyo", code=1)
    assert "read otherwise" in said
    assert len(messages(settings)) == 90
    # The default may be said.
    replayed(*other, "--time-zone", "UTC", "--delimiter", ",")


def test_no_row_is_dropped_bad_ones_are_dead_letters_with_their_text(settings, tmp_path) -> None:
    at = this_hour() - timedelta(hours=2)
    rows = [
        f"{at.isoformat()},machine,1.5",
        f"{at.isoformat()},machine,hot",
        f"{at.isoformat()},,2",
        "soon,machine,3",
        "2020-01-01T00:00:00Z,machine,4",
        f"{at.isoformat()},machine",
        f"{at.isoformat()},{'m' * (MAX_MESSAGE_BYTES - 100)},5",
        f"{at.isoformat()},machine,6.5",
    ]
    path = tmp_path / "machine.csv"
    path.write_text("measured_at,source_id,value\n" + "\n".join(rows), encoding="utf-8")
    found, said = followed(settings, path, "--set", "metric=t", code=1)
    assert "first row 2: wrong_type:value" in said
    assert "NOT SENT: row 7" in said
    assert found["not_sent"] == [7]
    counts = ("rows", "sent", "landed", "published", "dead", "missing")
    assert [found[name] for name in counts] == [8, 7, 7, 2, 5, 0]
    assert found["codes"] == {"wrong_type": 3, "missing": 1, "before_history": 1}
    enter_letters(settings, STREAM, "test")
    texts = {letter.value.decode() for letter in letter_shelf.letters(settings, STREAM)}  # type: ignore[union-attr]
    assert f"{at.isoformat()},machine" in texts
    assert sum("hot" in text or "soon" in text for text in texts) == 2


def test_a_file_of_which_no_row_is_good_is_refused_before_anything_is_sent(
    settings, tmp_path
) -> None:
    path = write(tmp_path / "machine.csv", datetime(2013, 12, 2, 21, 15), 30)  # noqa: DTZ001
    _, said = replayed(path, *MAPPED, code=1)
    assert "row 1: before_history" in said
    assert "--shift-to-now" in said
    assert messages(settings) == []
    found, said = replayed(path, *MAPPED, "--anyway")
    assert found["refused"] == {"before_history": 30}
    # What was dead is no reason against another try.
    assert replayed(path, *MAPPED, "--shift-to-now")[0]["refused"] == {}


def test_ctrl_c_keeps_what_was_sent_and_the_same_command_sends_the_rest(settings, tmp_path) -> None:
    path = write(tmp_path / "machine.csv", datetime(2026, 11, 2, 21, 15), 1500)  # noqa: DTZ001
    process = begin(path, *MAPPED, "--rate", 50, "--json")
    until = time.monotonic() + 30
    while arrived(settings) < 20:
        assert time.monotonic() < until
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 130, err
    assert "adds nothing twice" in err
    found = json.loads(out)
    assert not found["whole"]
    assert 20 <= found["sent"] == len(messages(settings)) < 1500
    assert replayed(path, *MAPPED)[0]["whole"]
    ids = {dict(m.headers)["ce_id"] for m in messages(settings)}
    assert ids == {f"replay:{sha256(path)[:32]}:{row}".encode() for row in range(1, 1501)}
    assert len(messages(settings)) == 1500 + found["sent"]


def test_a_file_that_grows_while_it_is_sent_is_told(settings, tmp_path) -> None:
    path = write(tmp_path / "machine.csv", datetime(2026, 11, 2, 21, 15), 60)  # noqa: DTZ001
    process = begin(path, *MAPPED, "--rate", 10)
    until = time.monotonic() + 30
    while not arrived(settings):
        assert time.monotonic() < until
        time.sleep(0.1)
    with path.open("a", encoding="utf-8") as file:
        file.write("\r\n2026-11-02 23:15:00,1")
    _, err = process.communicate(timeout=30)
    assert process.returncode == 1
    assert "THE FILE HAS CHANGED" in err


def test_rows_are_found_by_their_header_where_a_field_is_the_identity(settings, tmp_path) -> None:
    path = write(tmp_path / "machine.csv", this_hour() - 3 * HOUR, 90)
    with path.open("a", encoding="utf-8") as file:
        file.write("\r\nsoon,1\r\nlater,2")
    began = datetime.now(UTC)
    produce(settings, [measure("before", 1.0, this_hour()), b"bad"], ["replay:other:1", "other"])
    replayed(path, *MAPPED)
    produce(settings, [measure("machine", 1.0, this_hour() - 2 * HOUR)])
    materialize(["bronze_measures"], this_hour())
    state = Kafka(settings).topic_state(settings.names.topic("telemetry", "measures"))
    assert state is not None
    spans = {p: (state.begin[p], end) for p, end in state.end.items()}
    sending = Sending(state.topic_id, spans, f"replay:{sha256(path)[:32]}:", began)
    found = []
    for event_id in ("header:ce_id", "field:source_id"):
        stream = replace(STREAM, event_id=event_id)
        arrivals = Arrivals(settings, stream, sending, chain_of(stream))
        assert arrivals.unlanded() == 0
        found.append(arrivals.landed())
        assert (found[-1].rows, found[-1].dead) == (92, {"wrong_type": 2})
        assert arrivals.pending(set(found[-1].hours)) == {
            settings.names.table_id("telemetry", "silver", "measures"): len(found[-1].hours)
        }
        assert arrivals.arrived(found[-1].hours).missing > 0
    assert found[0] == found[1]


def test_rows_of_hours_that_have_stood_for_long_are_held_and_told_apart(settings, tmp_path) -> None:
    start = this_hour() - STREAM.look_back - 10 * HOUR
    first = write(tmp_path / "first.csv", start, 60)
    found, _ = followed(settings, first, *MAPPED)
    assert (found["published"], found["held"]) == (60, 0)
    used_long_ago(settings, STREAM.look_back + HOUR)
    second = write(tmp_path / "second.csv", start + 30 * timedelta(minutes=1), 60)
    found, _ = followed(settings, second, *MAPPED)
    assert (found["published"], found["held"], found["missing"]) == (30, 30, 0)
    # The first file's hour is held, too, but its events are there.
    found, _ = followed(settings, first, *MAPPED)
    assert (found["published"], found["held"], found["repeated"]) == (60, 0, 60)


def test_a_row_that_vanishes_is_a_failure_and_not_a_count(settings, tmp_path) -> None:
    # The landing is told that the offsets are lost for good: what Kafka acknowledged never lands.
    path = write(tmp_path / "machine.csv", this_hour() - 3 * HOUR, 30)
    process = begin(path, *MAPPED, "--wait", "--json", "--timeout", 120)
    until = time.monotonic() + 30
    while len(messages(settings)) < 30:
        assert time.monotonic() < until
    delete_everything(settings)
    produce(settings, [measure("later", 1.0, this_hour())] * 30)
    materialize(["bronze_measures"], this_hour())
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1, err
    assert "Kafka has acknowledged 30, bronze has 0" in err


def test_a_blocked_stream_is_said_and_not_waited_for(stack, tmp_path, monkeypatch) -> None:
    addresses = ("kafka_bootstrap", "ledger_dsn", "serving_dsn", "dagster_dsn", "spark_remote")
    for name in addresses:
        monkeypatch.setenv(f"DE_STACK_{name.upper()}", stack.need(name))
    monkeypatch.setenv("DE_STACK_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("DE_STACK_PROFILE", "external")
    monkeypatch.setenv("DE_STACK_LAKE_URI", str(tmp_path / "lake"))
    monkeypatch.setenv("DE_STACK_WAREHOUSE_PATH", str(tmp_path / "warehouse.duckdb"))
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "dagster"))
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    settings = enter_namespace(monkeypatch)
    tags = {STREAM_TAG: settings.names.topic("telemetry", "measures"), STEP_TAG: "land"}
    with dg.DagsterInstance.get() as instance:
        produce(settings, [measure("a", 1.0, datetime.now(UTC))])
        assert materialize(["bronze_measures"], this_hour(), instance=instance, tags=tags).success
        produce(settings, [measure("a", 2.0, datetime.now(UTC))] * 20)
        delete_everything(settings)
        run = {"instance": instance, "tags": tags, "raise_on_error": False}
        done = materialize(["bronze_measures"], this_hour(), **run)
        assert not done.success
    path = write(tmp_path / "machine.csv", this_hour() - 3 * HOUR, 30)
    began = time.monotonic()
    _, said = replayed(path, *MAPPED, "--wait", "--timeout", 300, code=1)
    # It has not waited for the time that it was given.
    assert time.monotonic() - began < 45
    assert f"blocked: run {done.run_id} failed" in said
    assert "de-stack acknowledge telemetry.measures --step land" in said
    assert "30 of 30 rows are in Kafka" in said


def test_waiting_ends_after_the_time_that_was_given_and_says_for_what(settings, tmp_path) -> None:
    path = write(tmp_path / "machine.csv", this_hour() - 3 * HOUR, 30)
    _, said = replayed(path, *MAPPED, "--wait", "--timeout", 5, code=1)
    assert "30 offsets have still to land" in said
    assert "the rows are safe" in said
    assert "daemon is stopped, so nothing runs by itself" in said
    assert os.environ["DE_STACK_NAMESPACE"] == settings.namespace
