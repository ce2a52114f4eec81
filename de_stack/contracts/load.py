"""Reads ODCS v3.1 files into `Stream`s and refuses what it does not understand.

Belongs here: file -> `Stream`, with file, field and reason in every refusal. Does not belong here:
what is derived from a stream.

Two gates: the JSON Schema that the ODCS project ships (unknown words, wrong types), then our own
rules for what ODCS leaves to `customProperties` (`words.py`).
"""

from __future__ import annotations

import json
import re
from datetime import timedelta
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import yaml

from de_stack import naming
from de_stack.contracts.model import Field, FieldType, Stream
from de_stack.contracts.words import ContractError, Words
from de_stack.failures import PermanentFailure

if TYPE_CHECKING:
    from open_data_contract_standard.model import (
        OpenDataContractStandard,
        SchemaObject,
        SchemaProperty,
    )

DEFS = Path(__file__).resolve().parent.parent / "defs"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}
_OPTIONS = {
    "string": {"minLength", "maxLength", "pattern"},
    "integer": {"minimum", "maximum"},
    "number": {"minimum", "maximum"},
    "boolean": set(),
    "timestamp": set(),
    "date": set(),
}


@cache
def load_all(defs: Path = DEFS) -> dict[str, Stream]:
    """Every stream of every domain, by name.

    Raises:
        ContractError: a file is broken.
    """
    return {s.name: s for p in sorted(defs.glob("*/contract.odcs.yaml")) for s in load_file(p)}


def load_stream(name: str) -> Stream:
    """The stream called `domain.entity`.

    Raises:
        PermanentFailure: there is no such stream; the message lists those that are.
    """
    streams = load_all()
    if name not in streams:
        known = ", ".join(streams) or "none"
        raise PermanentFailure(f"find stream {name!r}", "no contract names it", f"one of: {known}")
    return streams[name]


def load_file(path: Path) -> tuple[Stream, ...]:
    """The streams of one contract file.

    Raises:
        ContractError: with file, field and reason.
    """
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ContractError(path, "file", f"not readable YAML: {error}") from error
    if not isinstance(raw, dict):
        raise ContractError(path, "file", "not a mapping")
    _check_odcs(path, raw)

    from open_data_contract_standard.model import OpenDataContractStandard

    contract = OpenDataContractStandard.model_validate(raw)
    words = {c.property: c.value for c in contract.customProperties or []}.get("streams") or {}
    if not isinstance(words, dict):
        raise ContractError(path, "customProperties.streams", "not a mapping of stream to settings")
    objects = contract.schema_ or []
    if missing := {o.name for o in objects} ^ set(words):
        raise ContractError(
            path,
            "customProperties.streams",
            f"does not match `schema`: {', '.join(map(str, sorted(missing, key=str)))}",
        )
    return tuple(_stream(path, contract, o, words[o.name]) for o in objects)


def _check_odcs(path: Path, raw: dict[str, Any]) -> None:
    import jsonschema

    validator = jsonschema.validators.validator_for(_odcs_schema())(_odcs_schema())
    # YAML reads dates as dates; JSON Schema knows strings only.
    errors = sorted(
        validator.iter_errors(json.loads(json.dumps(raw, default=str))), key=lambda e: -len(e.path)
    )
    if errors:
        error = errors[0]
        where = ".".join(str(p) for p in error.absolute_path) or "file"
        raise ContractError(path, where, error.message[:300])


@cache
def _odcs_schema() -> dict[str, Any]:
    text = resources.files("open_data_contract_standard").joinpath("schema.json").read_text("utf-8")
    return json.loads(text)


def _stream(
    path: Path, contract: OpenDataContractStandard, obj: SchemaObject, words: Any
) -> Stream:
    where = f"customProperties.streams.{obj.name}"
    reader = Words(path, where, words)
    fields = tuple(_field(path, f"schema.{obj.name}", p) for p in obj.properties or [])
    names = [f.name for f in fields]
    if len(set(names)) != len(names) or not names:
        raise ContractError(path, f"schema.{obj.name}", "no properties, or one named twice")
    keyed = sorted(
        (p for p in obj.properties or [] if p.primaryKey), key=lambda p: p.primaryKeyPosition or 0
    )
    if not keyed:
        raise ContractError(
            path, f"schema.{obj.name}", "no property has primaryKey: true (the Kafka key)"
        )
    try:
        domain = naming.word(contract.domain or "", "domain")
        entity = naming.word(obj.name or "", "entity")
    except ValueError as error:
        raise ContractError(path, f"schema.{obj.name}", str(error)) from error
    team = contract.team if not isinstance(contract.team, list) else None
    members = (team.members if team else None) or []
    owner = next((m.username for m in members if m.role == "owner" and m.username), None)
    if not team or not team.name or not owner:
        raise ContractError(path, "team", "needs a name and a member with role owner")
    stream = Stream(
        domain=domain,
        entity=entity,
        version=contract.version or "",
        description=obj.description or "",
        owner=owner,
        team=team.name,
        fields=fields,
        key=tuple(p.name or "" for p in keyed),
        event_id=reader.text("eventId"),
        event_time=reader.text("eventTime"),
        wire_format=reader.choice("wireFormat", ("json",)),
        partitions=int(reader.number("topicPartitions", 1, 1000)),
        retention=_sla(path, contract, entity, "retention"),
        freshness=_sla(path, contract, entity, "freshness"),
        grain=reader.choice("grain", ("hour", "day")),
        history_start=reader.instant("historyStart"),
        allowed_lateness=reader.duration("allowedLateness"),
        look_back=reader.duration("lookBack"),
        max_future=reader.duration("maxFutureSkew"),
        generator_rate=reader.number("generatorRatePerSecond", 0.001, 1e6),
    )
    reader.done()
    if stream.event_time not in names or stream.field(stream.event_time).type != "timestamp":
        raise ContractError(path, f"{where}.eventTime", "is not a timestamp property of the stream")
    if not stream.field(stream.event_time).required:
        raise ContractError(path, f"{where}.eventTime", f"{stream.event_time} must be required")
    kind, _, name = stream.event_id.partition(":")
    if kind not in ("header", "field") or not name or (kind == "field" and name not in names):
        raise ContractError(path, f"{where}.eventId", "write header:<name> or field:<property>")
    return stream


def _field(path: Path, where: str, prop: SchemaProperty) -> Field:
    where = f"{where}.{prop.name}"
    options = prop.logicalTypeOptions or {}
    types = get_args(FieldType)
    if prop.logicalType not in types:
        raise ContractError(
            path, where, f"logicalType {prop.logicalType!r}: one of {', '.join(types)}"
        )
    if unknown := set(options) - _OPTIONS[prop.logicalType]:
        raise ContractError(
            path,
            where,
            f"logicalTypeOptions {', '.join(sorted(unknown))}: not checked for {prop.logicalType}",
        )
    if "pattern" in options:
        try:
            re.compile(options["pattern"])
        except re.error as error:
            raise ContractError(path, where, f"pattern: {error}") from error
    low, high = options.get("minimum"), options.get("maximum")
    if low is not None and high is not None and low > high:
        raise ContractError(path, where, f"minimum {low} is above maximum {high}")
    custom = {c.property: c.value for c in prop.customProperties or []}
    try:
        name = naming.word(prop.name or "", "property")
    except ValueError as error:
        raise ContractError(path, where, str(error)) from error
    return Field(
        name=name,
        path=tuple((prop.physicalName or name).split(".")),
        type=prop.logicalType,  # type: ignore[arg-type]
        required=bool(prop.required),
        minimum=low,
        maximum=high,
        min_length=options.get("minLength"),
        max_length=options.get("maxLength"),
        pattern=options.get("pattern"),
        allowed=tuple(str(e.value) for e in prop.enum or []),
        description=prop.description or "",
        unit=custom.get("unit"),
        classification=prop.classification,
        generator=custom.get("generator"),
    )


def _sla(path: Path, contract: OpenDataContractStandard, entity: str, word: str) -> timedelta:
    for sla in contract.slaProperties or []:
        if sla.property == word and sla.element == entity:
            if sla.unit not in _UNITS or not isinstance(sla.value, int | float) or sla.value <= 0:
                raise ContractError(
                    path,
                    f"slaProperties.{word}",
                    f"value {sla.value!r} {sla.unit!r}: a number of {'/'.join(_UNITS)}",
                )
            return timedelta(seconds=sla.value * _UNITS[sla.unit])
    raise ContractError(path, "slaProperties", f"no {word} for element {entity}")
