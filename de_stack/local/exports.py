"""Addresses for others: as `export` lines for a shell, and as they may be shown.

Belongs here: which variables, their quoting, what is a secret. Does not belong here: the addresses
themselves.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from de_stack.settings import ADDRESSES, Settings

# The namespace says where in these systems our data is: a client needs it like an address.
_EXPORTED = sorted(ADDRESSES | {"namespace"})
_PARAMETER = re.compile(r"([\w.-]+)(\s*=\s*)('(?:\\.|[^'\\])*'|[^&;\s]*)")
_HARMLESS = frozenset(
    {"host", "port", "user", "dbname", "passfile", "sslmode", "sslrootcert", "use_ssl", "user_id"}
)


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


def without_password(address: str) -> str:
    """A URL, or libpq's `name=value ...`, with `***` for whatever may be a secret.

    >>> without_password("postgresql://u:p@h/d?sslmode=require&password=p")
    'postgresql://u:***@h/d?sslmode=require&password=***'
    """

    def masked(found: re.Match[str]) -> str:
        return found[0] if found[1].lower() in _HARMLESS else f"{found[1]}{found[2]}***"

    # As libpq reads it, a password ends at the last @ before a slash. One that somebody forgot to
    # encode may go past it, but then it leads nowhere, and the rest must not be shown either.
    found = _PARAMETER.sub(masked, re.sub(r"(://[^:/@]*):[^/]*@", r"\1:***@", address))
    return re.sub(r"(://[^:/@]*):.*@", r"\1:***@", found)
