"""A generator's settings: contract, YAML over it, and refusals that name file, field and reason."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from de_stack.contracts import load_all
from de_stack.contracts.model import Field
from de_stack.sources.generator.check_first import check_first
from de_stack.sources.generator.config import load_config
from de_stack.sources.generator.files import ConfigError
from de_stack.sources.generator.function import Function
from de_stack.sources.generator.function_words import default_for
from de_stack.sources.generator.functions import Choice, Constant, Fake, Now, Range, Walk

STREAM = load_all()["telemetry.measures"]


def write(folder: Path, text: str) -> Path:
    """A settings file."""
    path = folder / "g.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_without_a_file_the_contract_alone_says_what_is_made() -> None:
    config = load_config(STREAM, None)
    assert {n: type(f) for n, f in config.functions.items()} == {
        "source_id": Choice,
        "metric": Choice,
        "value": Walk,
        "measured_at": Now,
    }
    assert (config.rate, config.seed) == (STREAM.generator_rate, None)


def test_a_file_stands_before_the_contract_field_by_field(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "stream: telemetry.measures\nrate: 7.5\nseed: 3\nfields:\n  metric: {constant: load}\n"
        "  source_id: {faker: {provider: bothify, args: {text: 'press-##'}}}\n"
        "  value: {walk: {start: 1, step: 0.5, per: [metric]}}\n",
    )
    config = load_config(STREAM, path)
    assert config.functions["metric"] == Constant(value="load")
    assert isinstance(config.functions["source_id"], Fake)
    assert isinstance(config.functions["measured_at"], Now)
    assert (config.rate, config.seed) == (7.5, 3)
    check_first(STREAM, config, path)


def test_an_empty_file_changes_nothing(tmp_path: Path) -> None:
    assert load_config(STREAM, write(tmp_path, "")) == load_config(STREAM, None)


@pytest.mark.parametrize(
    ("text", "field", "reason"),
    [
        ("fields: [", "file", "not readable YAML"),
        ("- a", "file", "not a mapping"),
        ("rate: -1", "rate", "greater than 0"),
        ("speed: 3", "speed", "not permitted"),
        ("stream: a.b", "stream", "not 'telemetry.measures'"),
        ("fields: {colour: {constant: 1}}", "fields.colour", "there are source_id, metric, value"),
        (
            "fields: {value: {walc: {}}}",
            "fields.value",
            "unknown function 'walc'; there are choice",
        ),
        ("fields: {value: {now: {}}}", "fields.value", "now makes no number"),
        ("fields: {value: {now: {}, constant: 1}}", "fields.value", "write one function"),
        ("fields: {value: {constant: high}}", "fields.value.constant", "'high' is no number"),
        ("fields: {value: {constant: true}}", "fields.value.constant", "True is no number"),
        ("fields: {metric: {choice: []}}", "fields.metric.choice.values", "at least 1"),
        ("fields: {metric: {choice: [a, 1]}}", "fields.metric.choice", "1 is no string"),
        (
            "fields: {metric: {choice: {values: [a, b], weights: [1]}}}",
            "fields.metric.choice",
            "one for each value",
        ),
        ("fields: {value: {walk: {start: 1}}}", "fields.value.walk.step", "required"),
        ("fields: {value: {walk: {start: 1, step: .inf}}}", "fields.value.walk.step", "finite"),
        (
            "fields: {value: {walk: {start: 1, step: 1, per: [value]}}}",
            "value",
            "'value' is no field",
        ),
        ("fields: {value: {range: {minimum: 2, maximum: 1}}}", "fields.value.range", "is above"),
        ("fields: {metric: {faker: nonsense}}", "fields.metric.faker", "provider 'nonsense'"),
        (
            "fields: {metric: {faker: {provider: word, args: {x: 1}}}}",
            "fields.metric.faker",
            "word",
        ),
        ("fields: {metric: {faker: __class__}}", "fields.metric.faker", "is not a provider"),
        ("fields: {metric: !!python/object:os.system {}}", "file", "not readable YAML"),
    ],
)
def test_a_slip_is_refused_with_file_field_and_reason(
    tmp_path: Path, text: str, field: str, reason: str
) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError) as caught:
        load_config(STREAM, path)
    told = str(caught.value)
    assert f"{path}: {field}: " in told
    assert reason in told


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="not readable YAML"):
        load_config(STREAM, tmp_path / "none.yaml")


def test_values_that_break_the_contract_are_found_before_anything_is_sent(tmp_path: Path) -> None:
    path = write(tmp_path, "fields: {value: {constant: 1.0e+13}}")
    with pytest.raises(ConfigError, match="fields.value"):
        check_first(STREAM, load_config(STREAM, path), path)


@pytest.mark.parametrize(
    ("field", "spec"),
    [
        (Field("f", ("f",), "string", allowed=("a", "b")), {"choice": ["a", "b"]}),
        (Field("f", ("f",), "number", minimum=5), {"range": {"minimum": 5, "maximum": 105}}),
        (Field("f", ("f",), "integer", maximum=-5), {"range": {"minimum": -5, "maximum": -5}}),
        (Field("f", ("f",), "boolean"), {"choice": [True, False]}),
        (Field("f", ("f",), "date"), {"now": {}}),
        (Field("f", ("f",), "string"), {"faker": "word"}),
    ],
)
def test_a_field_that_names_no_function_gets_one_within_its_bounds(
    field: Field, spec: dict
) -> None:
    assert default_for(field) == spec
    stream = replace(STREAM, fields=(*STREAM.fields, field))
    check_first(stream, load_config(stream, None), None)


def test_whole_number_fields_get_whole_numbers() -> None:
    field = Field("f", ("f",), "integer", generator={"range": {"minimum": 1, "maximum": 3}})
    config = load_config(replace(STREAM, fields=(*STREAM.fields, field)), None)
    assert isinstance(config.functions["f"], Range)
    check_first(replace(STREAM, fields=(*STREAM.fields, field)), config, None)


def test_a_function_that_makes_nothing_cannot_be_had() -> None:
    class Forgotten(Function):
        value: int

    with pytest.raises(TypeError, match="abstract.*maker"):
        Forgotten(value=1)  # type: ignore[abstract]
