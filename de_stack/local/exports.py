"""The stack's addresses as `export` lines for a shell.

Belongs here: which variables, and their quoting. Does not belong here: the addresses themselves.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from de_stack.settings import ADDRESSES


def variables(home: Path, settings: Mapping[str, Any]) -> dict[str, str]:
    """Variable -> value for every client: psql, Kafka tools, `dagster`, our own commands."""
    known = {name: str(settings[name]) for name in sorted(ADDRESSES) if name in settings}
    return {
        "DE_STACK_HOME": str(home),
        **{f"DE_STACK_{name.upper()}": value for name, value in known.items()},
        "DAGSTER_HOME": str(home / "dagster"),
    }


def lines(values: Mapping[str, str]) -> list[str]:
    """`export NAME=value`, quoted for any POSIX shell."""
    return [f"export {name}={shlex.quote(value)}" for name, value in values.items()]
