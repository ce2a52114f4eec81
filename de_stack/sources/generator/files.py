"""A generator's YAML file -> plain data, or a refusal that names file, field and reason.

Belongs here: reading, durations, the error. Does not belong here: what the words mean (`config.py`,
`original.py`).
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from de_stack.failures import PermanentFailure

_ISO = re.compile(
    r"P(?:(?P<d>\d+(?:\.\d+)?)D)?"
    r"(?:T(?:(?P<h>\d+(?:\.\d+)?)H)?(?:(?P<m>\d+(?:\.\d+)?)M)?(?:(?P<s>\d+(?:\.\d+)?)S)?)?",
    re.ASCII | re.IGNORECASE,
)
_SHORT = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>ms|s|m|h|d)?", re.ASCII)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}


class ConfigError(PermanentFailure):
    """A generator's settings that cannot be used: which file, which field, why."""

    def __init__(self, where: str, field: str, reason: str) -> None:
        super().__init__(f"read generator settings {where}", f"{field}: {reason}", "mend the file")


class _Loader(yaml.SafeLoader):
    """PyYAML alone lets the second of two equal keys win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str) or key in seen:
                fault = "stands twice" if isinstance(key, str) else "is not a text"
                raise yaml.constructor.ConstructorError(
                    None, None, f"key {key!r} {fault}", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a file; empty for an empty file.

    Raises:
        ConfigError: it cannot be read, or is no mapping.
    """
    try:
        # The loader is a SafeLoader: it makes plain data only.
        raw = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # noqa: S506
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ConfigError(str(path), "file", f"not readable YAML: {error}") from error
    if not isinstance(raw, dict | None):
        raise ConfigError(str(path), "file", "not a mapping")
    return raw or {}


def seconds_of(value: Any) -> float | None:
    """A duration in seconds: ISO-8601 (`PT1S`), `1s`, `500ms`, or a number; None where it is none.

    Years and months have no one length, and are none.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    found = _ISO.fullmatch(text)
    if found and any(found.groups()):
        parts = found.groupdict().items()
        return sum(float(number) * _SECONDS[unit] for unit, number in parts if number)
    short = _SHORT.fullmatch(text)
    return float(short["number"]) * _SECONDS[short["unit"]] if short else None


def first_error(error: ValidationError) -> tuple[str, str]:
    """Place and reason of the first thing that is wrong."""
    first = error.errors(include_url=False)[0]
    reason = first["msg"].removeprefix("Value error, ")
    return ".".join(str(part) for part in first["loc"]), reason
