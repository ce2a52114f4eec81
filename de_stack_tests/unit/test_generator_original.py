"""The first generator's configuration: all its spellings, and refusals that name what is valid."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from de_stack.contracts import load_all
from de_stack.sources.generator.config import load_config, stream_of
from de_stack.sources.generator.events import Events
from de_stack.sources.generator.files import ConfigError, read_yaml, seconds_of
from de_stack_tests.services import REPOSITORY

START = datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)
EXAMPLES = REPOSITORY / "docs" / "examples" / "generator"
ENVELOPE = {
    "body": {"timestamp": 1772366400, "message": {"metric": "TELEMETRY_MEASURE", "value": 15}}
}
VALUE = {"name": "v", "path": "v", "type": "int"}


def write(folder: Path, content: Any) -> Path:
    """A configuration file."""
    path = folder / "original.yaml"
    path.write_text(
        content if isinstance(content, str) else yaml.safe_dump(content, sort_keys=False)
    )
    return path


def made(path: Path, count: int = 1) -> list[dict[str, Any]]:
    """The first messages of a file."""
    events = Events(load_config(None, path).shape, "7", START)
    return [json.loads(events.next(START + timedelta(seconds=n)).data) for n in range(count)]


def test_the_originals_configuration_makes_the_originals_envelope() -> None:
    path = EXAMPLES / "original.yaml"
    assert made(path) == [ENVELOPE]
    config = load_config(None, path)
    assert (config.rate, config.is_original, config.others) == (1.0, True, ())
    assert stream_of(read_yaml(path), path) is None


def test_an_entry_without_func_gets_its_types_default_and_an_object_is_filled_by_later_paths() -> (
    None
):
    (message,) = made(EXAMPLES / "original_older.yaml")
    serial = message["body"].pop("serial")
    assert 0 <= serial < 2**53
    assert message == {
        "body": {
            "sent_at": "2026-03-01T12:00:00.250Z",
            "installed_at": "2020-05-01T00:00:00.000Z",
            "note": "",
        }
    }


SCHEMA = yaml.safe_load((EXAMPLES / "original.yaml").read_text())["generator"]["schema"]
OLDER = [{("json_path" if k == "path" else k): v for k, v in e.items()} for e in SCHEMA]


@pytest.mark.parametrize(
    "content",
    [
        {"generator": {"interval": "PT1S", "schema": SCHEMA}},
        {"generator": {"interval": "1s", "schema": OLDER}},
        {"generator.interval": "PT1S", "generator.schema": SCHEMA},
        {"generator.interval": "PT1S", "generator": {"schema": SCHEMA}},
        {"generator.interval": "PT1S", "schema": SCHEMA},
        {"interval": "1s", "schema": OLDER},
        {"interval": 1, "schema": [e | {"path": f"$.{e['path']}"} for e in SCHEMA]},
        {"interval": "PT1S", "schema": [SCHEMA[i] for i in (4, 3, 1, 0, 2)]},
    ],
    ids=lambda content: ",".join(content),
)
def test_every_spelling_makes_the_same(tmp_path: Path, content: dict[str, Any]) -> None:
    path = write(tmp_path, content)
    assert made(path) == [ENVELOPE]
    assert load_config(None, path).rate == 1.0


def test_other_programs_sections_of_the_file_are_named_and_let_be(tmp_path: Path) -> None:
    content = {"generator": {"interval": "PT1S", "schema": SCHEMA}, "kafka": {"brokers": "x"}}
    assert load_config(None, write(tmp_path, content)).others == ("kafka",)


@pytest.mark.parametrize(
    ("kind", "func", "value"),
    [
        ("int", {"name": "const_integer", "params": [-3]}, -3),
        ("long", {"name": "const_integer", "params": ["15"]}, 15),
        ("str", {"name": "const_str", "params": ["ä"]}, "ä"),
        ("datetime", {"name": "const_datetime", "params": [0]}, "1970-01-01T00:00:00.000Z"),
        ("long", {"name": "const_datetime", "params": ["1970-01-02T01:00:00+01:00"]}, 86400),
        ("str", {"name": "const_datetime", "params": ["1970-01-02"]}, "1970-01-02T00:00:00.000Z"),
        ("long", {"name": "now", "params": []}, 1772366400),
        ("int", {"name": "now"}, 1772366400),
        ("str", {"name": "now", "params": None}, "2026-03-01T12:00:00.250Z"),
        ("datetime", {"name": "now"}, "2026-03-01T12:00:00.250Z"),
        ("dict", {"name": "type_value"}, {}),
        ("dict", None, {}),
        ("int", None, 0),
        ("long", None, 0),
        ("str", None, ""),
    ],
)
def test_each_function_makes_the_form_of_each_of_its_types(
    tmp_path: Path, kind: str, func: dict[str, Any] | None, value: object
) -> None:
    entry = {"name": "v", "path": "a.b", "type": kind} | ({"func": func} if func else {})
    assert made(write(tmp_path, {"interval": "PT1S", "schema": [entry]})) == [{"a": {"b": value}}]


@pytest.mark.parametrize(("kind", "of"), [("int", int), ("long", int), ("str", str)])
def test_a_type_value_is_drawn_of_its_type_and_again_the_same_from_the_same_seed(
    tmp_path: Path, kind: str, of: type
) -> None:
    entry = {"name": "v", "path": "v", "type": kind, "func": {"name": "type_value"}}
    path = write(tmp_path, {"interval": "PT1S", "schema": [entry]})
    values = [message["v"] for message in made(path, 20)]
    assert {type(value) for value in values} == {of}
    assert len(set(values)) > 5
    assert values == [message["v"] for message in made(path, 20)]


def test_a_drawn_time_is_of_the_hour_before_the_event(tmp_path: Path) -> None:
    entry = {"name": "v", "path": "v", "type": "datetime", "func": {"name": "type_value"}}
    path = write(tmp_path, {"interval": "PT1S", "schema": [entry]})
    for number, message in enumerate(made(path, 50)):
        before = START + timedelta(seconds=number) - datetime.fromisoformat(message["v"])
        assert timedelta(0) <= before <= timedelta(hours=1, seconds=1)


def schema(*entries: Any) -> dict[str, Any]:
    """A configuration of these entries."""
    return {"interval": "PT1S", "schema": list(entries)}


@pytest.mark.parametrize(
    ("content", "field", "reason"),
    [
        ({"schema": [VALUE]}, "interval", "is missing"),
        ({"interval": "soon", "schema": [VALUE]}, "interval", "'soon' is no duration"),
        ({"interval": "PT0S", "schema": [VALUE]}, "interval", "'PT0S' is no duration"),
        ({"interval": "P1M", "schema": [VALUE]}, "interval", "'P1M' is no duration"),
        ({"interval": True, "schema": [VALUE]}, "interval", "True is no duration"),
        ({"interval": -1, "schema": [VALUE]}, "interval", "-1 is no duration"),
        ({"generator": {"interval": "PT1S"}}, "schema", "no list"),
        ({"generator": [1]}, "generator", "not a mapping"),
        ({"interval": "PT1S", "schema": []}, "schema", "no list"),
        ({"generator": {"intervall": "PT1S"}}, "generator.intervall", "there are interval, schema"),
        (
            {"generator": {"interval": "PT1S", "schema": [VALUE]}, "interval": "1s"},
            "interval",
            "stands twice",
        ),
        (schema("v"), "schema[0]", "no mapping"),
        (schema(VALUE | {"kind": 1}), "schema[0]", "unknown: kind; there are name, path"),
        (schema({"path": "v", "type": "int"}), "schema[0].name", "None is no text"),
        (
            schema(VALUE | {"type": "float"}),
            "schema[0] (v).type",
            "'float'; there are datetime, dict, int",
        ),
        (schema(VALUE | {"type": ["int"]}), "schema[0] (v).type", "unknown type ['int']"),
        (schema({"name": "v", "type": "int"}), "schema[0] (v).path", "is missing"),
        (schema(VALUE | {"json_path": "v"}), "schema[0] (v).path", "write one of them"),
        (schema(VALUE | {"path": "a..b"}), "schema[0] (v).path", "'a..b' is no path"),
        (schema(VALUE | {"path": 3}), "schema[0] (v).path", "3 is no path"),
        (schema(VALUE | {"func": "now"}), "schema[0] (v).func", "write {name"),
        (
            schema(VALUE | {"func": {"name": "now", "args": []}}),
            "schema[0] (v).func",
            "write {name",
        ),
        (
            schema(VALUE | {"func": {"name": "const_int", "params": [1]}}),
            "schema[0] (v).func.name",
            "'const_int'; there are const_datetime, const_integer, const_str, now, type_value",
        ),
        (
            schema(VALUE | {"func": {"name": "const_str", "params": ["a"]}}),
            "schema[0] (v).func.name",
            "const_str makes no int; for int there are const_datetime, const_integer, now",
        ),
        (
            schema(VALUE | {"func": {"name": "const_integer"}}),
            "schema[0] (v).func.params",
            "const_integer takes 1, there are 0",
        ),
        (
            schema(VALUE | {"func": {"name": "now", "params": [1, 2]}}),
            "schema[0] (v).func.params",
            "now takes 0, there are 2: [1, 2]",
        ),
        (
            schema(VALUE | {"func": {"name": "const_integer", "params": 15}}),
            "schema[0] (v).func.params",
            "no list: 15",
        ),
        (
            schema(VALUE | {"func": {"name": "const_integer", "params": [1.5]}}),
            "schema[0] (v).func.params",
            "1.5 is no whole number",
        ),
        (
            schema(VALUE | {"func": {"name": "const_integer", "params": [2**63]}}),
            "schema[0] (v).func.params",
            "no 64-bit number",
        ),
        (
            schema(VALUE | {"func": {"name": "const_datetime", "params": ["today"]}}),
            "schema[0] (v).func.params",
            "'today' is no time such as",
        ),
        (
            schema(VALUE | {"func": {"name": "const_datetime", "params": [None]}}),
            "schema[0] (v).func.params",
            "None is no time such as",
        ),
        (schema(VALUE, VALUE | {"path": "w"}), "schema[0].name", "'v' stands 2 times"),
        (
            schema(VALUE, VALUE | {"name": "w"}),
            "schema[1].path (w)",
            "v is the place of v already",
        ),
        (
            schema(VALUE | {"name": "w", "path": "v.w"}, VALUE),
            "schema[0].path (w)",
            "v.w is inside v, where v is a value and no object",
        ),
    ],
)
def test_a_slip_is_refused_with_file_field_and_what_is_valid(
    tmp_path: Path, content: Any, field: str, reason: str
) -> None:
    path = write(tmp_path, content)
    with pytest.raises(ConfigError) as caught:
        load_config(None, path)
    told = str(caught.value)
    assert f"{path}: {field}: " in told
    assert reason in told


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT1S", 1.0),
        ("PT0.5S", 0.5),
        ("PT1M30S", 90.0),
        ("P1DT1H", 90_000.0),
        ("pt2s", 2.0),
        ("1s", 1.0),
        ("500ms", 0.5),
        ("2 m", 120.0),
        ("1.5", 1.5),
        (3, 3.0),
        ("P", None),
        ("PT", None),
        ("P1Y", None),
        ("1 week", None),
        ("-1s", None),
        ("", None),
        (None, None),
        (False, None),
    ],
)
def test_durations_in_all_their_spellings(text: object, seconds: float | None) -> None:
    assert seconds_of(text) == seconds


def test_with_a_stream_the_originals_configuration_takes_its_key_from_the_contracts_place(
    tmp_path: Path,
) -> None:
    entries = [
        {
            "name": "who",
            "path": "source_id",
            "type": "str",
            "func": {"name": "const_str", "params": ["a"]},
        },
        {"name": "at", "path": "measured_at", "type": "datetime"},
    ]
    stream = load_all()["telemetry.measures"]
    path = write(tmp_path, schema(*entries))
    assert load_config(stream, path).shape.key == ("who",)
    assert load_config(stream, EXAMPLES / "original.yaml").shape.key == ()
