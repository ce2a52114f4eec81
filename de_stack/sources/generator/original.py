"""The first telemetry generator's configuration -> slots and an interval.

Belongs here: its words, older spellings included, and refusals. Does not belong here: what its
functions make (`original_functions.py`), our own files (`config.py`).

    generator:
      interval: PT1S
      schema:
        - {name: body, path: body, type: dict}
        - {name: value, path: body.message.value, type: int,
           func: {name: const_integer, params: [15]}}

`generator` may be left out or written into the keys (`generator.interval`), `path` may be called
`json_path`, and an interval may be `1s`.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from pydantic import ValidationError

from de_stack.sources.generator.files import ConfigError, first_error, seconds_of
from de_stack.sources.generator.function import Function
from de_stack.sources.generator.original_functions import FUNCTIONS, TYPES, TypeDefault
from de_stack.sources.generator.shape import OBJECT, Slot, collision

_WORDS = ("interval", "schema", "seed", "faults")
_ENTRY = ("name", "path", "json_path", "type", "func")


def is_original(raw: dict[str, Any]) -> bool:
    """True for a file in the first generator's form."""
    return any(key in ("generator", "schema") or key.startswith("generator.") for key in raw)


def words_of(raw: dict[str, Any], where: str) -> tuple[dict[str, Any], list[str]]:
    """(the generator's words, keys of the file that are somebody else's).

    Raises:
        ConfigError: a word stands twice, or is none of the generator's.
    """
    words: dict[str, Any] = {}
    others: list[str] = []

    def enter(key: str, word: str, value: Any) -> None:
        if word not in _WORDS:
            raise ConfigError(where, key, f"unknown; there are {', '.join(_WORDS)}")
        if word in words:
            raise ConfigError(where, key, "stands twice, in two spellings")
        words[word] = value

    for key, value in raw.items():
        if key == "generator":
            if not isinstance(value, dict):
                raise ConfigError(where, key, "not a mapping")
            for word, inner in value.items():
                enter(f"generator.{word}", word, inner)
        elif key.startswith("generator."):
            enter(key, key.removeprefix("generator."), value)
        elif key in _WORDS:
            enter(key, key, value)
        else:
            others.append(key)
    return words, others


def rate_of(words: dict[str, Any], where: str) -> float:
    """Events per second.

    Raises:
        ConfigError: no interval, or one that is no duration.
    """
    if "interval" not in words:
        raise ConfigError(where, "interval", "is missing: write PT1S for an event per second")
    value, seconds = words["interval"], seconds_of(words["interval"])
    if seconds is None or not 1e-6 <= seconds <= 1e6:
        reason = f"{value!r} is no duration from PT0.000001S to a million seconds, such as PT1S"
        raise ConfigError(where, "interval", f"{reason} or 500ms")
    return 1 / seconds


def slots_of(words: dict[str, Any], where: str) -> tuple[Slot, ...]:
    """The values that the schema lists.

    Raises:
        ConfigError: with entry and field, and the names that are valid there.
    """
    schema = words.get("schema")
    if not isinstance(schema, list) or not schema:
        raise ConfigError(where, "schema", "is no list of entries {name, path, type, func}")
    slots = [_slot(entry, f"schema[{number}]", where) for number, entry in enumerate(schema)]
    named = Counter(slot.name for slot in slots)
    for number, slot in enumerate(slots):
        if named[slot.name] > 1:
            at = f"schema[{number}].name"
            raise ConfigError(where, at, f"{slot.name!r} stands {named[slot.name]} times")
    if found := collision(slots):
        number = [slot.name for slot in slots].index(found[0])
        raise ConfigError(where, f"schema[{number}].path ({found[0]})", found[1])
    return tuple(slots)


def _slot(entry: Any, at: str, where: str) -> Slot:
    if not isinstance(entry, dict):
        raise ConfigError(where, at, "is no mapping of name, path, type, func")
    if unknown := entry.keys() - set(_ENTRY):
        named = ", ".join(sorted(unknown))
        raise ConfigError(where, at, f"unknown: {named}; there are {', '.join(_ENTRY)}")
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError(where, f"{at}.name", f"{name!r} is no text")
    at = f"{at} ({name})"
    path = _path(entry, at, where)
    kind = entry.get("type")
    if not isinstance(kind, str) or kind not in TYPES:
        raise ConfigError(where, f"{at}.type", f"unknown type {kind!r}; there are {_listed(TYPES)}")
    function = _function(entry.get("func"), kind, f"{at}.func", where)
    return Slot(name, path, OBJECT if kind == "dict" else kind, function)


def _path(entry: dict[str, Any], at: str, where: str) -> tuple[str, ...]:
    given = [word for word in ("path", "json_path") if word in entry]
    if len(given) != 1:
        reason = "path and json_path are one: write one of them" if given else "is missing"
        raise ConfigError(where, f"{at}.path", reason)
    text = entry[given[0]]
    parts = text.removeprefix("$.").split(".") if isinstance(text, str) else []
    if not parts or not all(parts):
        raise ConfigError(where, f"{at}.{given[0]}", f"{text!r} is no path such as body.value")
    return tuple(parts)


def _function(func: Any, kind: str, at: str, where: str) -> Function:
    if func is None:
        return TypeDefault()
    if not isinstance(func, dict) or not set(func) <= {"name", "params"} or "name" not in func:
        raise ConfigError(where, at, "write {name: ..., params: [...]}")
    name, params = func["name"], func.get("params")
    params = [] if params is None else params
    if not isinstance(name, str) or name not in FUNCTIONS:
        reason = f"unknown function {name!r}; there are {_listed(FUNCTIONS)}"
        raise ConfigError(where, f"{at}.name", reason)
    function = FUNCTIONS[name]
    if kind not in function.fits:
        fitting = [n for n, f in FUNCTIONS.items() if kind in f.fits]
        reason = f"{name} makes no {kind}; for {kind} there are {_listed(fitting)}"
        raise ConfigError(where, f"{at}.name", reason)
    wanted = list(function.model_fields)
    if not isinstance(params, list) or len(params) != len(wanted):
        got = f"{len(params)}: {params!r}" if isinstance(params, list) else f"no list: {params!r}"
        raise ConfigError(where, f"{at}.params", f"{name} takes {len(wanted)}, there are {got}")
    try:
        return function.model_validate(dict(zip(wanted, params, strict=True)))
    except ValidationError as error:
        raise ConfigError(where, f"{at}.params", f"{name}: {first_error(error)[1]}") from error


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
