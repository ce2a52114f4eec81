"""What hosts say of their queries, in a file for each query beside the state.

Belongs here: the files, whose word counts. Does not belong here: what is said (`host.py`), what
people are shown (`cli/stream.py`).
"""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

# A host says it twice a second.
_FRESH_S = 15.0


class Statuses:
    """`<home>/streams/status/<query>.json`."""

    def __init__(self, home: Path) -> None:
        self._folder = home / "streams" / "status"

    def tell(self, name: str, told: dict[str, Any], *, has_it: bool) -> None:
        """Say how a query is. The word of a host that has it stands against that of others."""
        said = self._read(name)
        if not has_it and said and said["has_it"] and said["pid"] != os.getpid():
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        own = {"pid": os.getpid(), "has_it": has_it, "said_at": datetime.now(UTC).isoformat()}
        # Not kept safe from a power cut, as `write_private` would: twice a second, for each query.
        part = self._folder / f".{name}.{os.getpid()}"
        part.write_text(json.dumps({**own, **told}, indent=1), encoding="utf-8")
        part.replace(self._path(name))

    def all(self) -> dict[str, dict[str, Any]]:
        """What hosts that live say: name -> state and figures; nothing of one that has gone."""
        names = sorted(path.stem for path in self._folder.glob("*.json"))
        return {name: said for name in names if (said := self._read(name))}

    def _read(self, name: str) -> dict[str, Any]:
        try:
            said = json.loads(self._path(name).read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            # Nobody's word yet, or what a power cut has left of it: a host that lives says it anew.
            return {}
        age = (datetime.now(UTC) - datetime.fromisoformat(said["said_at"])).total_seconds()
        # Of the future: by a host that went before the clock was set back.
        return said if abs(age) < _FRESH_S and _lives(said["pid"]) else {}

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
