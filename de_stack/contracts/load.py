"""Contract files -> `Stream`s, and the streams of all domains by name.

Belongs here: our rules for what a stream needs beside its fields. Does not belong here: reading
ODCS (`odcs.py`), fields (`fields.py`), single words (`words.py`), what is derived from a stream.
"""

from __future__ import annotations

import re
from collections import Counter
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_stack import naming
from de_stack.contracts import odcs
from de_stack.contracts.envelopes import envelopes_of
from de_stack.contracts.fields import fields_of, key_of
from de_stack.contracts.forms import csv_line_of, dbt_reads_of, windows_of
from de_stack.contracts.model import Stream
from de_stack.contracts.words import ContractError, Words
from de_stack.failures import PermanentFailure

if TYPE_CHECKING:
    from open_data_contract_standard.model import OpenDataContractStandard, SchemaObject

DEFS = Path(__file__).resolve().parent.parent / "defs"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "y": 365 * 86400}
_MOST_S = 1000 * _UNITS["y"]
# Dagster's own rule for owners.
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,7}")


@cache
def load_all(defs: Path = DEFS) -> dict[str, Stream]:
    """Every stream of every domain, by name.

    Raises:
        ContractError: a file is broken, or names another domain than its folder.
    """
    found: dict[str, Stream] = {}
    for path in sorted(defs.glob("*/contract.odcs.yaml")):
        for stream in load_file(path):
            if stream.domain != path.parent.name:
                reason = f"{stream.domain!r} is not the folder's name {path.parent.name!r}"
                raise ContractError(path, "domain", reason)
            found[stream.name] = stream
    return found


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
    """The streams of one contract file; none of one that describes files (`day_files.py`).

    Raises:
        ContractError: with file, field and reason.
    """
    contract = odcs.read(path)
    where = "customProperties"
    custom = {c.property: c.value for c in contract.customProperties or []}
    if custom.keys() == {"files"}:
        return ()
    if len(custom) != len(contract.customProperties or []) or custom.keys() != {"streams"}:
        named = ", ".join(map(str, custom)) or "nothing"
        raise ContractError(path, where, f"needs `streams` once and nothing else, has {named}")
    words = custom["streams"]
    if not isinstance(words, dict):
        raise ContractError(path, f"{where}.streams", "not a mapping of stream to settings")
    objects = contract.schema_ or []
    named = Counter(str(o.name) for o in objects)
    if twice := [name for name, times in named.items() if times > 1]:
        raise ContractError(path, f"schema.{twice[0]}", "stands twice")
    if not named:
        raise ContractError(path, "schema", "has no stream")
    if missing := named.keys() ^ words.keys():
        reason = f"does not match `schema`: {', '.join(sorted(missing))}"
        raise ContractError(path, f"{where}.streams", reason)
    return tuple(_stream(path, contract, o, words[o.name]) for o in objects)


def _stream(
    path: Path, contract: OpenDataContractStandard, obj: SchemaObject, words: Any
) -> Stream:
    try:
        domain = naming.word(contract.domain or "", "domain")
        entity = naming.word(obj.name or "", "entity")
    except ValueError as error:
        raise ContractError(path, f"schema.{obj.name}", str(error)) from error
    where = f"customProperties.streams.{entity}"
    reader = Words(path, where, words)
    team, owner = owner_of(path, contract)
    fields, event_time = fields_of(path, obj), reader.text("eventTime")
    stream = Stream(
        domain=domain,
        entity=entity,
        version=contract.version or "",
        description=obj.description or "",
        owner=owner,
        team=team,
        fields=fields,
        key=key_of(path, obj),
        event_id=reader.text("eventId"),
        event_time=event_time,
        wire_format=reader.choice("wireFormat", ("json",)),
        partitions=reader.whole("topicPartitions", 1, 1000),
        retention=_sla(path, contract, entity, "retention"),
        freshness=_sla(path, contract, entity, "freshness"),
        grain=reader.choice("grain", ("hour", "day", "month")),
        history_start=reader.instant("historyStart"),
        allowed_lateness=reader.duration("allowedLateness"),
        look_back=reader.duration("lookBack"),
        max_future=reader.duration("maxFutureSkew"),
        generator_rate=(
            reader.number("generatorRatePerSecond", 0.001, 1e6)
            if reader.has("generatorRatePerSecond")
            else None
        ),
        error_rate=_error_rate(path, contract, entity),
        error_rate_window=reader.duration("errorRateWindow", timedelta(days=1)),
        accounted_in=_account(path, where, reader.text("accountedIn", f"stats_{entity}.count")),
        envelopes=envelopes_of(path, where, reader.listed("envelopes"), fields, event_time),
        topic_version=reader.whole("topicVersion", 1, 999) if reader.has("topicVersion") else None,
        csv_line=csv_line_of(path, where, reader.listed("csvLine"), fields),
        watermark=reader.duration("watermark", timedelta(0)),
        windows=windows_of(path, where, reader.listed("windows")),
        dbt_reads=dbt_reads_of(path, where, reader.listed("dbtReads")),
    )
    reader.done()
    _check_times(path, where, stream)
    _check_event_id(path, where, stream)
    return stream


def _check_times(path: Path, where: str, stream: Stream) -> None:
    times = [f for f in stream.fields if f.name == stream.event_time and f.type == "timestamp"]
    if not times:
        raise ContractError(path, f"{where}.eventTime", "is not a timestamp property of the stream")
    if not times[0].required:
        raise ContractError(path, f"{where}.eventTime", f"{stream.event_time} must be required")
    if not stream.error_rate_window:
        raise ContractError(path, f"{where}.errorRateWindow", "is no time at all")
    begins = {"hour": 0, "day": stream.history_start.hour}
    if begins.get(stream.grain, stream.history_start.hour or stream.history_start.day - 1):
        # Dagster would begin with the next period, and what lies before it would have no partition.
        reason = f"with grain {stream.grain}: not the start of a {stream.grain} in UTC"
        raise ContractError(path, f"{where}.historyStart", reason)


def _check_event_id(path: Path, where: str, stream: Stream) -> None:
    kind, _, name = stream.event_id.partition(":")
    names = {f.name for f in stream.fields if f.type in ("string", "integer")}
    if kind not in ("header", "field") or not name or (kind == "field" and name not in names):
        reason = "write header:<name> or field:<string or integer property>"
        raise ContractError(path, f"{where}.eventId", reason)


def _account(path: Path, where: str, text: str) -> tuple[str, str]:
    """(table, column) of `stats_measures.count`."""
    table, _, column = text.partition(".")
    try:
        naming.split_asset(table)
        return table, naming.word(column, "column")
    except ValueError as error:
        reason = f"write table.column, such as stats_measures.count: {error}"
        raise ContractError(path, f"{where}.accountedIn", reason) from error


def owner_of(path: Path, contract: OpenDataContractStandard) -> tuple[str, str]:
    """(team, e-mail address of its owner)."""
    team = contract.team if not isinstance(contract.team, list) else None
    members = (team.members if team else None) or []
    owner = next((m.username for m in members if m.role == "owner" and m.username), None)
    if not team or not team.name or not owner:
        raise ContractError(path, "team", "needs a name and a member with role owner")
    if not _EMAIL.fullmatch(owner):
        raise ContractError(path, "team.members", f"owner {owner!r} is not an e-mail address")
    return team.name, owner


def _sla(path: Path, contract: OpenDataContractStandard, entity: str, word: str) -> timedelta:
    found = [s for s in contract.slaProperties or [] if (s.property, s.element) == (word, entity)]
    if len(found) != 1:
        reason = f"{len(found) or 'no'} {word} for element {entity}: write one"
        raise ContractError(path, "slaProperties", reason)
    value, unit = found[0].value, found[0].unit
    length = value if isinstance(value, int | float) and not isinstance(value, bool) else 0
    seconds = length * _UNITS.get(unit or "", 0)
    if not 0 < seconds <= _MOST_S:
        reason = f"value {value!r} {unit!r}: a positive number of {'/'.join(_UNITS)}"
        raise ContractError(path, f"slaProperties.{word}", reason)
    return timedelta(seconds=seconds)


def _error_rate(path: Path, contract: OpenDataContractStandard, entity: str) -> float:
    """Share of messages that may be against the contract: ODCS' `errorRate`, 1 % without it."""
    rates = [s for s in contract.slaProperties or [] if s.property == "errorRate"]
    for rate in rates:
        # The default would take the place of one that says it of nobody.
        if rate.element not in {o.name for o in contract.schema_ or []}:
            reason = f"element {rate.element!r} is no stream of this contract"
            raise ContractError(path, "slaProperties.errorRate", reason)
    found = [rate for rate in rates if rate.element == entity]
    if not found:
        return Stream.error_rate
    if len(found) > 1:
        reason = f"{len(found)} errorRate for element {entity}: write one"
        raise ContractError(path, "slaProperties", reason)
    value, unit = found[0].value, found[0].unit
    percent = value if isinstance(value, int | float) and not isinstance(value, bool) else -1
    if not 0 <= percent <= 100 or unit not in ("%", "percent"):
        reason = f"value {value!r} {unit!r}: a number from 0 to 100 with unit percent"
        raise ContractError(path, "slaProperties.errorRate", reason)
    return percent / 100
