"""The words `csvLine`, `windows` and `dbtReads` of a contract -> plain data, or a refusal.

Belongs here: what their values may be. Does not belong here: reading lines (`csv_line.py`),
computing windows (a domain's `core`).
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from de_stack import naming
from de_stack.contracts.model import Field, Window
from de_stack.contracts.words import ContractError, Words

_MOST_WINDOWS_PER_ROW = 1000


def csv_line_of(
    path: Path, where: str, given: list[Any], fields: tuple[Field, ...]
) -> tuple[str | None, ...]:
    """The field of each cell of a line, in order; `null` for a cell that is read over.

    Raises:
        ContractError: an unknown field, one that stands twice, or a required one that is not there.
    """
    if not given:
        return ()
    where, known = f"{where}.csvLine", {f.name: f for f in fields}
    for name in given:
        # First its type: YAML has lists and mappings, of which none is a key.
        if name is not None and (not isinstance(name, str) or name not in known):
            raise ContractError(path, where, f"no field {name!r}: one of {', '.join(known)}")
        if name is not None and given.count(name) > 1:
            raise ContractError(path, where, f"{name} stands twice")
    if missing := [f.name for f in fields if f.required and f.name not in given]:
        raise ContractError(path, where, f"needs {', '.join(missing)}")
    if len(given) < 2:  # noqa: PLR2004 - with one cell any text would be a line
        raise ContractError(path, where, "a line of one cell is no CSV: at least two")
    return tuple(given)


def windows_of(path: Path, where: str, given: list[Any]) -> tuple[Window, ...]:
    """Windows, each a mapping of `name`, `length` and, for sliding ones, `slide`.

    Raises:
        ContractError: one is broken, or has the name of another.
    """
    found: list[Window] = []
    for number, words in enumerate(given):
        place = f"{where}.windows.{number}"
        reader = Words(path, place, words)
        try:
            name = naming.word(f"w{reader.text('name')}", "window")[1:]
        except ValueError as error:
            raise ContractError(path, f"{place}.name", str(error)) from error
        length = reader.duration("length")
        slide = reader.duration("slide", length)
        reader.done()
        if name in {window.name for window in found}:
            raise ContractError(path, f"{place}.name", f"{name!r} stands twice")
        if not timedelta(0) < slide <= length <= slide * _MOST_WINDOWS_PER_ROW:
            reason = f"slide {slide}, length {length}: a slide above 0, at most the length, and "
            raise ContractError(path, place, f"{reason}at most {_MOST_WINDOWS_PER_ROW} in a length")
        found.append(Window(name, length, slide))
    return tuple(found)


def dbt_reads_of(path: Path, where: str, given: list[Any]) -> tuple[str, ...]:
    """Tables that dbt may read beside silver, each as `layer_entity`.

    Raises:
        ContractError: one is no such name, or stands twice.
    """
    where = f"{where}.dbtReads"
    for name in given:
        try:
            naming.split_asset(str(name))
        except ValueError as error:
            raise ContractError(path, where, str(error)) from error
        if given.count(name) > 1:
            raise ContractError(path, where, f"{name} stands twice")
    return tuple(given)
