"""Addresses for others: as `export` lines for a shell, and as they may be shown.

Belongs here: which variables, their quoting. Does not belong here: the addresses themselves, what
is masked in them (`masking.py`).
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from de_stack.masking import without_password
from de_stack.setting_sources import ADDRESSES
from de_stack.settings import Settings

# The namespace says where in these systems our data is: a client needs it like an address.
_EXPORTED = sorted(ADDRESSES | {"namespace"})


def variables(home: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """Variable -> value for every client: psql, Kafka tools, `dagster`, our own commands."""
    known = {name: str(settings[name]) for name in _EXPORTED if settings.get(name)}
    return {
        "DE_STACK_HOME": str(home),
        **{f"DE_STACK_{name.upper()}": value for name, value in known.items()},
        "DAGSTER_HOME": str(home / "dagster"),
    }


def lines(values: Mapping[str, str]) -> list[str]:
    """`export NAME=value`, quoted for any POSIX shell."""
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]


def shown(settings: Settings) -> dict[str, str]:
    """Every address that is set, as it may be printed."""
    there = [name for name in sorted(ADDRESSES) if getattr(settings, name) is not None]
    return {name: without_password(settings.need(name)) for name in there}
