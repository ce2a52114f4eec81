"""Which queries people want to run, in a file beside the state: the host looks at it each second.

Belongs here: the file. Does not belong here: starting and stopping (`host.py`).
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure
from de_stack.local.state import write_private

if TYPE_CHECKING:
    from de_stack.flow.continuous.query import Query


class Wanted:
    """`<home>/streams/wanted.json`: name -> on or off, and which are to begin anew."""

    def __init__(self, home: Path) -> None:
        self.folder = home / "streams"
        self._path = self.folder / "wanted.json"

    def names(self, queries: Mapping[str, Query]) -> list[str]:
        """The queries that are wanted: as somebody said last, else as the domain says."""
        said = self._read()["on"]
        return [name for name, query in queries.items() if said.get(name, query.is_on)]

    def say(self, name: str, *, on: bool, anew: bool = False) -> None:
        """Want a query, or want it no more; `anew` from the oldest message of its topic."""
        with self._changing() as known:
            known["on"][name] = on
            if anew:
                known["anew"] = sorted({*known["anew"], name})

    def is_anew(self, name: str) -> bool:
        """True until `done_anew`: a host that dies in between does it again."""
        return name in self._read()["anew"]

    def done_anew(self, name: str) -> None:
        """The old checkpoint is out of the way."""
        with self._changing() as known:
            known["anew"] = [other for other in known["anew"] if other != name]

    def _read(self) -> dict[str, Any]:
        try:
            found = json.loads(self._path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {"on": {}, "anew": []}
        except ValueError as error:
            found = str(error)
        if not isinstance(found, dict) or not (
            isinstance(found.get("on"), dict) and isinstance(found.get("anew"), list)
        ):
            raise PermanentFailure(
                f"read {self._path}",
                f"it is not what `de-stack stream` writes: {str(found)[:200]}",
                "remove it: each query runs as its domain says then",
                page="stream-query",
            )
        return {"on": found["on"], "anew": found["anew"]}

    @contextmanager
    def _changing(self) -> Iterator[dict[str, Any]]:
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            known = self._read()
            yield known
            write_private(self._path, json.dumps(known, indent=1))
