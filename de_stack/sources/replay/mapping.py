"""Which column, or which constant, fills which field of a contract.

Belongs here: matching by name, `--map`, `--set`, and what is wrong with them. Does not belong here:
converting cells (`values.py`), reading files.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure
from de_stack.sources.replay.times import Times
from de_stack.sources.replay.values import converter

if TYPE_CHECKING:
    from de_stack.contracts import Field, Stream

_JSON_TYPE = {"string": str, "integer": int, "number": float, "boolean": bool}
_SHOWN = 60


@dataclass(frozen=True)
class Mapping:
    """`columns`: field -> column; `by_name`: those that nobody typed; `constants`: field -> value.

    Fields that are in neither are not sent.
    """

    columns: dict[str, str]
    constants: dict[str, Any]
    by_name: tuple[str, ...]

    def digest(self, **how: Any) -> str:
        """16 hex digits of what decides what a row becomes; `how` is what else does."""
        said = {"columns": self.columns, "constants": self.constants, **how}
        text = json.dumps(said, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


def resolve(
    stream: Stream,
    columns: Sequence[str],
    maps: Sequence[str],
    sets: Sequence[str],
    times: Times,
) -> Mapping:
    """What fills each field.

    Args:
        stream: whose fields.
        columns: the file's columns.
        maps: `field=column`, as typed.
        sets: `field=value`, as typed.
        times: how a constant time is written, too.

    Raises:
        PermanentFailure: unknown or repeated names, a constant of another type, a required field
            that nothing fills; with the names that there are and what to type.
    """
    fields = {f.name: f for f in stream.fields}
    mapped = _pairs("--map", maps, fields)
    fixed = _pairs("--set", sets, fields)
    if both := mapped.keys() & fixed.keys():
        raise PermanentFailure(
            f"map {', '.join(sorted(both))}", "there is both --map and --set", page="replay-mapping"
        )
    for field, column in mapped.items():
        if column not in columns:
            raise PermanentFailure(
                f"map {field}={column}",
                f"the file has no column {column!r}",
                f"one of: {', '.join(columns) or 'none'}",
                page="replay-mapping",
            )
    constants = {name: _constant(fields[name], given, times) for name, given in fixed.items()}
    by_name: dict[str, str] = {}
    for name in fields.keys() - mapped.keys() - constants.keys():
        same = [c for c in columns if c == name] or [c for c in columns if snake(c) == name]
        if len(same) > 1:
            raise PermanentFailure(
                f"match field {name}",
                f"the columns {' and '.join(map(repr, same))} could both be it",
                f"type --map {name}={_quoted(same[0])}, or another",
                page="replay-mapping",
            )
        if same:
            by_name[name] = same[0]
    found = {**mapped, **by_name}
    _refuse_missing(stream, columns, {*found, *constants})
    order = [name for name in fields if name in found]
    return Mapping(
        {name: found[name] for name in order},
        constants,
        tuple(name for name in order if name in by_name),
    )


def snake(column: str) -> str:
    """`Max_TemperatureC` -> `max_temperature_c`, `Job Title` -> `job_title`."""
    words = re.sub(r"([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])", r"\1\3_\2\4", column)
    return re.sub(r"[^0-9A-Za-z]+", "_", words).strip("_").lower()


def _pairs(option: str, given: Sequence[str], fields: dict[str, Field]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in given:
        name, equals, value = text.partition("=")
        tried = f"read {option} {text}"
        if not equals:
            what = "column" if option == "--map" else "value"
            raise PermanentFailure(
                tried, "there is no =", f"write field={what}", page="replay-mapping"
            )
        if name not in fields:
            known = ", ".join(fields)
            raise PermanentFailure(
                tried,
                f"the contract has no field {name!r}",
                f"one of: {known}",
                page="replay-mapping",
            )
        if name in found:
            raise PermanentFailure(tried, f"{name} stands twice", page="replay-mapping")
        found[name] = value
    return found


def _constant(field: Field, given: str, times: Times) -> Any:
    """The JSON value of a constant, of the contract's type."""
    found = converter(field, times, timedelta(0))(given)
    kind = _JSON_TYPE.get(field.type)
    right = isinstance(found, kind) if kind else found != given or _reads(field, given, times)
    if not right:
        got = f"{given!r} is no {field.type}"
        raise PermanentFailure(f"read --set {field.name}={given}", got, page="replay-mapping")
    if field.allowed and found not in field.allowed:
        raise PermanentFailure(
            f"read --set {field.name}={given}",
            "the contract does not allow that",
            f"one of: {', '.join(field.allowed)}",
            page="replay-mapping",
        )
    return found


def _reads(field: Field, given: str, times: Times) -> bool:
    found = times.read_date(given) if field.type == "date" else times.read(given)
    return found is not None


def _refuse_missing(stream: Stream, columns: Sequence[str], filled: set[str]) -> None:
    missing = [f.name for f in stream.fields if f.required and f.name not in filled]
    if not missing:
        return
    shown = ", ".join(columns[:_SHOWN]) or "none"
    more = f" and {len(columns) - _SHOWN} more" if len(columns) > _SHOWN else ""
    typed = " ".join(f"--map {name}=COLUMN" for name in missing)
    raise PermanentFailure(
        f"fill the required fields of {stream.name}",
        f"nothing fills {', '.join(missing)}; the file's columns are: {shown}{more}",
        f"type {typed} (or --set FIELD=VALUE for all rows)",
        page="replay-mapping",
    )


def _quoted(column: str) -> str:
    import shlex

    return shlex.quote(column)
