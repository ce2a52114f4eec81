"""Contract and YAML file -> one function per field, rate and seed.

Belongs here: reading, merging and refusing with file, field and reason. Does not belong here: what
the functions do.

A file looks like this; every part of it is optional and stands before what the contract says:

    stream: telemetry.measures
    rate: 50
    seed: 7
    fields:
      source_id: {faker: {provider: bothify, args: {text: "press-##"}}}
      value: {walk: {start: 60, step: 1.5, per: [metric]}}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from de_stack.failures import PermanentFailure
from de_stack.sources.generator.function import Function
from de_stack.sources.generator.functions import FUNCTIONS, SHORT, Choice, Constant, Walk

if TYPE_CHECKING:
    from de_stack.contracts import Field as ContractField
    from de_stack.contracts import Stream

_NUMBERS = {"integer", "number"}
_FITS = {"walk": _NUMBERS, "range": _NUMBERS, "uniform": _NUMBERS, "now": {"timestamp", "date"}}
_PYTHON: dict[str, tuple[type, ...]] = {
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
}


class ConfigError(PermanentFailure):
    """A generator's settings that cannot be used: which file, which field, why."""

    def __init__(self, where: str, field: str, reason: str) -> None:
        super().__init__(f"read generator settings {where}", f"{field}: {reason}", "mend the file")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stream: str | None = None
    rate: float | None = Field(default=None, gt=0, le=1e6)
    seed: int | str | None = None
    fields: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Config:
    """What to make: a function for each field (of those that are made at all)."""

    functions: dict[str, Function]
    rate: float
    seed: int | str | None


def load_config(stream: Stream, path: Path | None) -> Config:
    """The settings of a stream's generator; `path` is the YAML file, if there is one.

    Raises:
        ConfigError: with file, field and reason.
    """
    file = _read(stream, path) if path else _File()
    known = {f.name: f for f in stream.fields}
    functions = {}
    for name, spec in file.fields.items():
        if name not in known:
            fields = ", ".join(known)
            raise ConfigError(str(path), f"fields.{name}", f"no such field; there are {fields}")
        functions[name] = _function(str(path), f"fields.{name}", known[name], spec)
    for name, field in known.items():
        if name not in functions:
            spec = field.generator or default_for(field)
            functions[name] = _function(f"contract of {stream.name}", name, field, spec)
    for name, function in functions.items():
        where = str(path) if name in file.fields else f"contract of {stream.name}"
        for other in (function.per or []) if isinstance(function, Walk) else []:
            if other not in functions or isinstance(functions[other], Walk):
                raise ConfigError(
                    where, name, f"walk.per: {other!r} is no field that it can follow"
                )
    return Config(functions, file.rate or stream.generator_rate or 1.0, file.seed)


def default_for(field: ContractField) -> dict[str, Any]:
    """A function for a field that names none, within its bounds as far as they are simple."""
    if field.allowed:
        return {"choice": list(field.allowed)}
    if field.type in _NUMBERS:
        low = 0.0 if field.minimum is None else field.minimum
        high = low + 100.0 if field.maximum is None else field.maximum
        return {"range": {"minimum": min(low, high), "maximum": high}}
    if field.type == "boolean":
        return {"choice": [True, False]}
    return {"now": {}} if field.type in ("timestamp", "date") else {"faker": "word"}


def _read(stream: Stream, path: Path) -> _File:
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(str(path), "file", f"not readable YAML: {error}") from error
    if not isinstance(raw, dict | None):
        raise ConfigError(str(path), "file", "not a mapping")
    try:
        file = _File.model_validate(raw or {})
    except ValidationError as error:
        raise ConfigError(str(path), *_first(error)) from error
    if file.stream not in (None, stream.name):
        raise ConfigError(str(path), "stream", f"is {file.stream!r}, not {stream.name!r}")
    return file


def _function(where: str, at: str, field: ContractField, spec: dict[str, Any]) -> Function:
    if not isinstance(spec, dict) or len(spec) != 1:
        raise ConfigError(where, at, "write one function, as {name: arguments}")
    ((name, arguments),) = spec.items()
    if name not in FUNCTIONS:
        names = ", ".join(sorted(FUNCTIONS))
        raise ConfigError(where, at, f"unknown function {name!r}; there are {names}")
    if field.type not in _FITS.get(name, {field.type}):
        raise ConfigError(where, at, f"{name} makes no {field.type}")
    if name in SHORT and isinstance(arguments, SHORT[name][1]):
        arguments = {SHORT[name][0]: arguments}
    try:
        function = FUNCTIONS[name].model_validate(arguments)
    except ValidationError as error:
        inner, reason = _first(error)
        raise ConfigError(where, ".".join(filter(None, [at, name, inner])), reason) from error
    values = function.values if isinstance(function, Choice) else []
    for value in [function.value] if isinstance(function, Constant) else values:
        wanted = _PYTHON.get(field.type, (str,))
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise ConfigError(where, f"{at}.{name}", f"{value!r} is no {field.type}")
    return function


def _first(error: ValidationError) -> tuple[str, str]:
    """Place and reason of the first thing that is wrong."""
    first = error.errors(include_url=False)[0]
    return ".".join(str(part) for part in first["loc"]), first["msg"]
