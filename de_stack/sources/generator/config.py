"""Contract and YAML file -> one function per value, rate, seed and faults.

Belongs here: merging the two and refusing with file, field and reason. Does not belong here: what
the functions do, the first generator's form (`original.py`).

A file looks like this; every part of it is optional and stands before what the contract says:

    stream: telemetry.measures
    rate: 50
    seed: 7
    faults: {late: 0.01}
    format: csv
    fields:
      source_id: {faker: {provider: bothify, args: {text: "press-##"}}}
      value: {walk: {start: 60, step: 1.5, per: [metric]}}

Without a contract a field's name is its place (`reading.value`), its type is that of what its
function makes (or `type: integer` beside the function), and `key: [device.id]` names the Kafka key.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from de_stack.sources.generator import original
from de_stack.sources.generator.fault_words import faults_of
from de_stack.sources.generator.faults import Faults
from de_stack.sources.generator.files import ConfigError, first_error, read_yaml
from de_stack.sources.generator.function import Function
from de_stack.sources.generator.function_words import default_for, free_kind, function_of
from de_stack.sources.generator.functions import Choice, Walk
from de_stack.sources.generator.shape import Shape, Slot, collision, key_of

if TYPE_CHECKING:
    from de_stack.contracts import Stream

FREE_TYPES = ("string", "integer", "number", "boolean", "timestamp", "date")


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid")

    stream: str | None = None
    rate: float | None = Field(default=None, gt=0, le=1e6)
    seed: int | str | None = None
    key: list[str] | str | None = None
    format: Literal["json", "csv"] | None = None
    faults: dict[str, Any] = {}
    fields: dict[str, dict[str, Any]] = {}


@dataclass(frozen=True)
class Config:
    """What to make. `rate` is None where neither file nor contract says one; so is `form`.

    `others` are keys of an original's file that are not the generator's.
    """

    shape: Shape
    rate: float | None
    seed: int | str | None = None
    faults: Faults = field(default_factory=Faults)
    is_original: bool = False
    others: tuple[str, ...] = ()
    form: str | None = None

    @property
    def functions(self) -> dict[str, Function]:
        """The function of each value, by name."""
        return {slot.name: slot.function for slot in self.shape.slots}


def stream_of(raw: dict[str, Any], path: Path) -> str | None:
    """The stream that a file is for; None where it is for none: its messages are its own.

    A file that only says rate, seed or faults is for the default stream: "".

    Raises:
        ConfigError: `stream` is no text.
    """
    if original.is_original(raw):
        return None
    name = raw.get("stream")
    if name is not None and not isinstance(name, str):
        raise ConfigError(str(path), "stream", f"{name!r} is no text")
    return name or (None if raw.get("fields") else "")


def load_config(stream: Stream | None, path: Path | None) -> Config:
    """What a generator makes: of a stream's contract, of a file, or of both.

    Raises:
        ConfigError: with file, field and reason.
    """
    raw = read_yaml(path) if path else {}
    if original.is_original(raw):
        return _original(stream, raw, str(path))
    file = _validated(stream, raw, path)
    where = str(path or (f"contract of {stream.name}" if stream else "nothing"))
    slots = _of_contract(stream, file, path) if stream else _free(file, where)
    if stream and file.key is not None:
        raise ConfigError(where, "key", "the contract says it: take it out")
    _check_walks(slots, lambda name: where if name in file.fields or not stream else _of(stream))
    if found := collision(slots):
        raise ConfigError(where, f"fields.{found[0]}", found[1])
    name = stream.name if stream else Path(where).stem
    key = key_of(stream, slots) if stream else _key(file, slots, where)
    rate = file.rate or (stream.generator_rate if stream else None)
    shape = Shape(name, tuple(slots), key)
    return Config(shape, rate, file.seed, faults_of(file.faults, where), form=file.format)


def _of(stream: Stream) -> str:
    return f"contract of {stream.name}"


def _original(stream: Stream | None, raw: dict[str, Any], where: str) -> Config:
    words, others = original.words_of(raw, where)
    slots = original.slots_of(words, where)
    shape = Shape(
        stream.name if stream else Path(where).stem, slots, key_of(stream, slots) if stream else ()
    )
    seed = words.get("seed")
    if not isinstance(seed, int | str | None) or isinstance(seed, bool):
        raise ConfigError(where, "seed", f"{seed!r} is neither a number nor a text")
    faults = faults_of(words.get("faults"), where)
    rate = original.rate_of(words, where)
    return Config(shape, rate, seed, faults, is_original=True, others=tuple(others))


def _validated(stream: Stream | None, raw: dict[str, Any], path: Path | None) -> _File:
    try:
        file = _File.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(str(path), *first_error(error)) from error
    if stream and file.stream not in (None, stream.name):
        raise ConfigError(str(path), "stream", f"is {file.stream!r}, not {stream.name!r}")
    return file


def _of_contract(stream: Stream, file: _File, path: Path | None) -> list[Slot]:
    known = {f.name: f for f in stream.fields}
    for name in file.fields:
        if name not in known:
            reason = f"no such field; there are {', '.join(known)}"
            raise ConfigError(str(path), f"fields.{name}", reason)
    slots = []
    for name, of in known.items():
        if name in file.fields:
            function = function_of(str(path), f"fields.{name}", of.type, file.fields[name])
        else:
            function = function_of(_of(stream), name, of.type, of.generator or default_for(of))
        slots.append(Slot(name, of.path, of.type, function))
    return slots


def _free(file: _File, where: str) -> list[Slot]:
    if not file.fields:
        raise ConfigError(where, "fields", "without a stream there must be some")
    slots = []
    for name, spec in file.fields.items():
        at, path = f"fields.{name}", tuple(name.split("."))
        if not all(path):
            raise ConfigError(where, at, "names between dots, none of them empty")
        kind, spec = spec.get("type"), {k: v for k, v in spec.items() if k != "type"}
        if kind is not None and kind not in FREE_TYPES:
            reason = f"unknown type {kind!r}; there are {', '.join(FREE_TYPES)}"
            raise ConfigError(where, f"{at}.type", reason)
        kind = kind or free_kind(spec)
        slots.append(Slot(name, path, kind, function_of(where, at, kind, spec)))
    return slots


def _key(file: _File, slots: list[Slot], where: str) -> tuple[str, ...]:
    key = (file.key,) if isinstance(file.key, str) else tuple(file.key or ())
    names = [slot.name for slot in slots]
    for name in key:
        if name not in names:
            reason = f"no such field {name!r}; there are {', '.join(names)}"
            raise ConfigError(where, "key", reason)
    return key


def _check_walks(slots: list[Slot], where) -> None:  # noqa: ANN001 - name -> file
    functions = {slot.name: slot.function for slot in slots}
    for name, function in functions.items():
        for other in (function.per or []) if isinstance(function, Walk) else []:
            if other not in functions or isinstance(functions[other], Walk):
                reason = f"walk.per: {other!r} is no field that it can follow"
                raise ConfigError(where(name), name, reason)
        if isinstance(function, Walk) and isinstance(starts := function.start, dict):
            of = functions[(function.per or [""])[0]]
            values = of.values if isinstance(of, Choice) else []
            missing = [str(v) for v in values if str(v) not in starts]
            if missing or not values:
                reason = f"none for {', '.join(missing)}" if values else "follows no `choice`"
                raise ConfigError(where(name), name, f"walk.start: {reason}")
