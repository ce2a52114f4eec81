"""What was asked for -> a checked job: stream, sink, and refusals before any event."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from de_stack.failures import PermanentFailure
from de_stack.settings import Settings
from de_stack.sources.generator import options
from de_stack.sources.generator.destination import destination
from de_stack.sources.generator.job import Job, Wish, prepare
from de_stack_tests.services import REPOSITORY

EXAMPLES = REPOSITORY / "docs" / "examples" / "generator"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def settings(tmp_path: Path, **more: Any) -> Settings:
    """A place where nothing runs, with addresses."""
    given = {"collector_url": "http://127.0.0.1:1", "kafka_bootstrap": "127.0.0.1:1"}
    return Settings(profile="external", home=tmp_path, **given, **more)


def job(tmp_path: Path, **wish: Any) -> Job:
    """A job, as far as it goes without a system."""
    return prepare(settings(tmp_path), Wish(**wish), NOW, destination)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.yaml")), ids=lambda p: p.name)
def test_every_example_of_the_documentation_is_a_job(tmp_path: Path, path: Path) -> None:
    found = job(tmp_path, config=path, sink="console")
    assert len((found.faulty or found.events).batch([NOW] * 50)) >= 49
    assert path.name in (REPOSITORY / "docs" / "generator.md").read_text()
    assert f"docs/examples/generator/{path.name}" in path.read_text(), "how it is run"


def test_without_a_word_it_is_the_default_stream_to_its_door(tmp_path: Path) -> None:
    told = job(tmp_path).told
    assert (told["stream"], told["sink"], told["rate"]) == ("telemetry.measures", "http", 50)


def test_the_files_stream_or_its_own_messages(tmp_path: Path) -> None:
    assert job(tmp_path, config=EXAMPLES / "presses.yaml").told["stream"] == "telemetry.measures"
    free = job(tmp_path, config=EXAMPLES / "greenhouse.yaml")
    assert free.told["stream"].startswith("none")
    assert (free.told["sink"], free.told["rate"], free.counts.stream) == (
        "console",
        10,
        "greenhouse",
    )
    only_rate = tmp_path / "rate.yaml"
    only_rate.write_text("rate: 3")
    assert job(tmp_path, config=only_rate).told["stream"] == "telemetry.measures"


def test_a_file_in_the_home_is_the_streams_usual_one(tmp_path: Path) -> None:
    (tmp_path / "generator").mkdir()
    (tmp_path / "generator" / "telemetry.measures.yaml").write_text("rate: 3")
    assert job(tmp_path).rate == 3
    assert job(tmp_path, rate=4.0).rate == 4


def test_a_free_message_has_the_key_that_its_file_names(tmp_path: Path) -> None:
    (event,) = job(tmp_path, config=EXAMPLES / "greenhouse.yaml", seed="1").events.batch([NOW])
    message = json.loads(event.data)
    assert event.key == message["device"]["id"].encode()
    assert list(message) == ["device", "reading", "at"]
    assert isinstance(message["reading"]["lux"], int)
    assert message["at"] == "2026-03-01T12:00:00.000Z"


def test_the_originals_messages_are_judged_by_the_door_and_by_nobody_before(tmp_path: Path) -> None:
    path = EXAMPLES / "original.yaml"
    assert job(tmp_path, config=path, sink="http").told["sink"] == "http"
    assert job(tmp_path, config=path, stream="telemetry.measures", sink="http").events.made == 0
    with pytest.raises(PermanentFailure, match="fields.*source_id|missing"):
        job(tmp_path, config=path, stream="telemetry.measures", sink="kafka")


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"stream": "telemetry.none"}, "telemetry.measures"),
        ({"sink": "tape"}, "one of: console, file, http, kafka"),
        ({"sink": "file"}, "give --out FILE"),
        ({"sink": "http", "out": Path("x")}, "--out is for --sink file"),
        ({"sink": "http", "topic": "x"}, "--topic is for --sink kafka"),
        (
            {"config": EXAMPLES / "greenhouse.yaml", "sink": "kafka"},
            "give --topic NAME, or a STREAM",
        ),
        ({"is_fast": True}, "give --start TIME"),
        ({"faults": {"late": "2"}}, "--late: 2.0 is no share"),
        ({"config": EXAMPLES / "none.yaml"}, "not readable YAML"),
        ({"start": datetime(2020, 1, 1, tzinfo=UTC)}, "before 2026-01-01"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    tmp_path: Path, wish: dict[str, Any], reason: str
) -> None:
    with pytest.raises(PermanentFailure) as caught:
        job(tmp_path, **wish)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        ("fields: {a: {constant: 1}, a.b: {constant: 1}}", "fields.a.b", "is inside a, where a"),
        ("fields: {a.b: {constant: 1}, a: {constant: 1}}", "fields.a.b", "is inside a, where a"),
        ("fields: {a: {constant: 1}, a: {constant: 2}}", "file", "key 'a' stands twice"),
        ("fields: {a..b: {constant: 1}}", "fields.a..b", "none of them empty"),
        ("fields: {a: {type: long, constant: 1}}", "fields.a.type", "there are string, integer"),
        ("fields: {a: {type: integer, constant: x}}", "fields.a.constant", "'x' is no integer"),
        ("fields: {a: {type: integer, faker: name}}", "fields.a.faker", "name makes no integer"),
        ("fields: {a: {constant: 1}}\nkey: b", "key", "no such field 'b'; there are a"),
        ("stream: telemetry.measures\nkey: metric", "key", "the contract says it"),
        ("stream: 7", "stream", "7 is no text"),
        ("faults: {late: 7}", "faults.late", "7 is no share"),
        (f"fields: {{a: {{constant: {2**64}}}}}", "fields.a.constant", "no 64-bit number"),
    ],
)
def test_a_slip_of_a_file_is_refused_with_file_field_and_reason(
    tmp_path: Path, text: str, field: str, reason: str
) -> None:
    path = tmp_path / "g.yaml"
    path.write_text(text)
    with pytest.raises(PermanentFailure) as caught:
        job(tmp_path, config=path)
    assert f"{path}: {field}: " in str(caught.value)
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((options.rate, t) for t in ("0", "-1", "nan", "inf", "fast", "1000001")),
        *((options.count, t) for t in ("-1", "1.5", "many", "inf")),
        *((options.start, t) for t in ("today", "", "2026-13-01")),
        *((options.port, t) for t in ("-1", "65536", "http")),
    ],
)
def test_an_option_that_is_none_says_what_would_be_one(read: Any, text: str) -> None:
    with pytest.raises(PermanentFailure, match="fix: give"):
        read(text)


def test_a_start_without_a_zone_is_utc() -> None:
    assert options.start("2026-03-01 12:00") == NOW
    assert options.start("2026-03-01T13:00+01:00") == NOW


def generate(tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command as a user types it."""
    env = {"DE_STACK_HOME": str(tmp_path), "PATH": "/usr/bin:/bin"}
    code = "from de_stack.cli import main; main()"
    command: Sequence[str] = [sys.executable, "-c", code, "generate", *arguments]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=60)


def test_the_summary_holds_every_event_and_every_fault(tmp_path: Path) -> None:
    out = tmp_path / "events.ndjson"
    faults = ["--late", "0.1", "--duplicate", "0.1", "--malformed", "0.1", "--future", "0.1"]
    wish = ["--count", "2000", "--start", "2026-03-01T12:00:00Z", "--fast", "--out", str(out)]
    done = generate(tmp_path, *wish, *faults, "--out-of-order", "0.1", "--json")
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["made"] == 2000
    assert told["sent"] == 2000 + told["faults"]["duplicate"] == len(out.read_bytes().splitlines())
    assert sum(told["malformed_forms"].values()) == told["faults"]["malformed"]
    assert all(50 < number < 400 for number in told["faults"].values())
    assert told["bytes"] + told["sent"] == out.stat().st_size


def test_printed_events_have_standard_output_for_themselves(tmp_path: Path) -> None:
    done = generate(tmp_path, "--sink", "console", "--count", "3", "--rate", "1000")
    assert done.returncode == 0
    assert [sorted(json.loads(line)) for line in done.stdout.splitlines()] == [
        ["measured_at", "metric", "source_id", "value"]
    ] * 3
    assert "made 3, sent 3, refused 0" in done.stderr


def test_an_unknown_stream_is_one_message_with_the_names_that_there_are(tmp_path: Path) -> None:
    done = generate(tmp_path, "telemetry.none")
    assert done.returncode == 1
    assert "telemetry.measures" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_command_is_in_the_list() -> None:
    import typer

    from de_stack.cli.generate import register

    app = typer.Typer()
    register(app)
    assert "--out-of-order" in CliRunner().invoke(app, ["--help"], env={"COLUMNS": "200"}).output
