"""One property of a contract -> one `Field`, or a refusal.

Belongs here: our rules for a field, and for the fields of a stream together. Does not belong here:
the stream's own words (`load.py`), what is derived from fields.

What we would not check is refused: a promise that nobody holds is worse than none.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from de_stack import naming
from de_stack.contracts.message import LONG
from de_stack.contracts.model import Field, FieldType
from de_stack.contracts.words import ContractError

if TYPE_CHECKING:
    from open_data_contract_standard.model import SchemaObject, SchemaProperty

# What every silver table has beside the record; a field of the same name would be a second column.
RESERVED = frozenset(
    ("event_id", "event_hour", "event_date", "broker_time", "partition", "offset", "is_late")
)
_OPTIONS = {
    "string": {"minLength", "maxLength", "pattern"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "boolean": set(),
    "timestamp": set(),
    "date": set(),
}
_ODD = re.compile(r"[\"\\`\x00-\x1f]")
_NOT_CHECKED = ("unique", "quality")


def fields_of(path: Path, obj: SchemaObject) -> tuple[Field, ...]:
    """The fields of a stream in the contract's order.

    Raises:
        ContractError: one is broken, or two are in each other's way.
    """
    where = f"schema.{obj.name}"
    if obj.quality:
        raise ContractError(path, f"{where}.quality", "is not checked: take it out")
    fields = tuple(_field(path, where, p) for p in obj.properties or [])
    if not fields:
        raise ContractError(path, where, "no properties")
    seen: set[str] = set()
    taken: dict[tuple[str, ...], str] = {}
    for field in fields:
        if field.name in seen:
            raise ContractError(path, f"{where}.{field.name}", "stands twice")
        seen.add(field.name)
        for place, other in taken.items():
            shorter = min(len(place), len(field.path))
            if place[:shorter] == field.path[:shorter]:
                raise ContractError(
                    path,
                    f"{where}.{field.name}.physicalName",
                    f"{'.'.join(field.path)} is in the way of {other} ({'.'.join(place)})",
                )
        taken[field.path] = field.name
    return fields


def key_of(path: Path, obj: SchemaObject) -> tuple[str, ...]:
    """Names of the fields that make the Kafka key, in their order.

    Raises:
        ContractError: none, not numbered, or one that a message may leave out.
    """
    where = f"schema.{obj.name}"
    keyed = [p for p in obj.properties or [] if p.primaryKey]
    if not keyed:
        raise ContractError(path, where, "no property has primaryKey: true (the Kafka key)")
    for prop in keyed:
        if not prop.required:
            raise ContractError(path, f"{where}.{prop.name}", "part of the key: must be required")
    if sorted(p.primaryKeyPosition or 0 for p in keyed) != list(range(1, len(keyed) + 1)):
        raise ContractError(
            path, where, "primaryKeyPosition: number the parts of the key 1, 2, ..."
        )
    return tuple(p.name or "" for p in sorted(keyed, key=lambda p: p.primaryKeyPosition or 0))


def _field(path: Path, where: str, prop: SchemaProperty) -> Field:
    where = f"{where}.{prop.name}"
    try:
        name = naming.word(prop.name or "", "property")
    except ValueError as error:
        raise ContractError(path, where, str(error)) from error
    if name in RESERVED:
        raise ContractError(path, where, "is a column that every table has: call it otherwise")
    if prop.logicalType not in get_args(FieldType):
        reason = f"logicalType {prop.logicalType!r}: one of {', '.join(get_args(FieldType))}"
        raise ContractError(path, where, reason)
    for word in _NOT_CHECKED:
        if getattr(prop, word):
            raise ContractError(path, f"{where}.{word}", "is not checked: take it out")
    place = tuple((prop.physicalName or name).split("."))
    if not all(place) or _ODD.search(prop.physicalName or ""):
        reason = "names between dots, none empty, without quotes, backslash, control characters"
        raise ContractError(path, f"{where}.physicalName", reason)
    options = _options(path, where, prop)
    custom = {c.property: c.value for c in prop.customProperties or []}
    if unknown := custom.keys() - {"generator", "unit"}:
        named = ", ".join(sorted(map(str, unknown)))
        raise ContractError(path, f"{where}.customProperties", f"unknown: {named}")
    if not isinstance(custom.get("generator", {}), dict):
        raise ContractError(path, f"{where}.customProperties.generator", "not a mapping")
    return Field(
        name=name,
        path=place,
        type=prop.logicalType,  # type: ignore[arg-type]
        required=bool(prop.required),
        minimum=options.get("minimum"),
        maximum=options.get("maximum"),
        min_length=options.get("minLength"),
        max_length=options.get("maxLength"),
        pattern=options.get("pattern"),
        allowed=_allowed(path, where, prop),
        description=prop.description or "",
        unit=custom.get("unit"),
        classification=prop.classification,
        generator=custom.get("generator"),
    )


def _options(path: Path, where: str, prop: SchemaProperty) -> dict[str, Any]:
    options, kind = prop.logicalTypeOptions or {}, prop.logicalType or ""
    if unknown := set(options) - _OPTIONS[kind]:
        named = ", ".join(sorted(unknown))
        raise ContractError(path, where, f"logicalTypeOptions {named}: not checked for {kind}")
    for word in ("minimum", "maximum"):
        bound = options.get(word)
        if bound is not None and not math.isfinite(bound):
            raise ContractError(path, where, f"{word} {bound} is not a finite number")
        if bound is not None and kind == "integer":
            if bound != int(bound) or not LONG[0] <= bound <= LONG[1]:
                raise ContractError(path, where, f"{word} {bound} is not a 64-bit integer")
            options = {**options, word: int(bound)}
    for low, high in (("minimum", "maximum"), ("minLength", "maxLength")):
        if low in options and high in options and options[low] > options[high]:
            reason = f"{low} {options[low]} is above {high} {options[high]}"
            raise ContractError(path, where, reason)
    if "pattern" in options:
        try:
            re.compile(options["pattern"])
        except re.error as error:
            raise ContractError(path, where, f"pattern: {error}") from error
    return options


def _allowed(path: Path, where: str, prop: SchemaProperty) -> tuple[str, ...]:
    values = [e.value for e in prop.enum or []]
    if not values:
        return ()
    where = f"{where}.enum"
    if prop.logicalType != "string" or prop.logicalTypeOptions:
        raise ContractError(path, where, "only for a string without logicalTypeOptions")
    texts = [v for v in values if isinstance(v, str)]
    if len(texts) < len(values):
        raise ContractError(path, where, f"{values!r}: not all are texts, quote them")
    if len(set(texts)) < len(texts):
        raise ContractError(path, where, "a value stands twice")
    return tuple(texts)
