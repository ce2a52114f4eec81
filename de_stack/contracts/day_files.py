"""Contracts of files that people load, one file a day: `files` where a stream has `streams`.

Belongs here: `DayFiles`, reading them from contract files. Does not belong here: cells of a file
(`cells.py`), fields (`fields.py`), streams of a broker (`load.py`).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

from de_stack import naming
from de_stack.contracts import odcs
from de_stack.contracts.fields import fields_of
from de_stack.contracts.load import DEFS, owner_of
from de_stack.contracts.model import Field
from de_stack.contracts.words import ContractError, Words
from de_stack.failures import PermanentFailure


@dataclass(frozen=True)
class DayFiles:
    """Day files of a domain: their rows, and what every asset needs to know beside them.

    `max_future` is how far an event time may lie past the time of loading. Nothing is ever held
    back (`look_back` is None): somebody has asked for each file.
    """

    domain: str
    entity: str
    version: str
    description: str
    owner: str
    team: str
    fields: tuple[Field, ...]
    file_format: Literal["csv"]
    event_time: str
    grain: Literal["day"]
    history_start: datetime
    max_future: timedelta
    look_back: None = None

    @property
    def name(self) -> str:
        """`domain.entity`."""
        return naming.stream_name(self.domain, self.entity)

    @property
    def required(self) -> tuple[str, ...]:
        """Columns that a file must have."""
        return tuple(f.name for f in self.fields if f.required)


@cache
def load_all_day_files(defs: Path = DEFS) -> dict[str, DayFiles]:
    """The day files of every domain that has some, by domain.

    Raises:
        ContractError: a file is broken, or names another domain than its folder.
    """
    found = {}
    for path in sorted(defs.glob("*/contract.odcs.yaml")):
        files = _read(path)
        if files is None:
            continue
        if files.domain != path.parent.name:
            reason = f"{files.domain!r} is not the folder's name {path.parent.name!r}"
            raise ContractError(path, "domain", reason)
        found[files.domain] = files
    return found


def load_day_files(domain: str) -> DayFiles:
    """The day files of a domain.

    Raises:
        PermanentFailure: it has none; the message lists the domains that have.
    """
    known = load_all_day_files()
    if domain not in known:
        fix = f"one of: {', '.join(known) or 'none'}"
        raise PermanentFailure(f"find day files of {domain!r}", "no contract names them", fix)
    return known[domain]


def _read(path: Path) -> DayFiles | None:
    """None for a contract of streams."""
    contract = odcs.read(path)
    custom: dict[str, Any] = {str(c.property): c.value for c in contract.customProperties or []}
    if custom.keys() != {"files"}:
        return None
    objects, words = contract.schema_ or [], custom["files"]
    named = [o.name for o in objects]
    if len(named) != 1 or not isinstance(words, dict) or list(words) != named:
        reason = f"needs the one object of `schema`, which has {', '.join(map(str, named))}"
        raise ContractError(path, "customProperties.files", reason)
    try:
        domain = naming.word(contract.domain or "", "domain")
        entity = naming.word(named[0] or "", "entity")
    except ValueError as error:
        raise ContractError(path, f"schema.{named[0]}", str(error)) from error
    where = f"customProperties.files.{entity}"
    reader, (team, owner) = Words(path, where, words[entity]), owner_of(path, contract)
    files = DayFiles(
        domain=domain,
        entity=entity,
        version=contract.version or "",
        description=objects[0].description or "",
        owner=owner,
        team=team,
        fields=fields_of(path, objects[0]),
        file_format=reader.choice("format", ("csv",)),
        event_time=reader.text("eventTime"),
        grain=reader.choice("grain", ("day",)),
        history_start=reader.instant("historyStart"),
        max_future=reader.duration("maxFutureSkew"),
    )
    reader.done()
    _check(path, where, files)
    return files


def _check(path: Path, where: str, files: DayFiles) -> None:
    times = [f for f in files.fields if f.name == files.event_time and f.type == "timestamp"]
    if not times or not times[0].required:
        reason = "is not a required timestamp property"
        raise ContractError(path, f"{where}.eventTime", reason)
    if files.history_start.hour:
        raise ContractError(path, f"{where}.historyStart", "with grain day: not midnight UTC")
    for field in files.fields:
        if field.path != (field.name,):
            reason = "a column has the name of its property"
            raise ContractError(path, f"schema.{files.entity}.{field.name}.physicalName", reason)
