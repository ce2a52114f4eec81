"""What the stack remembers between commands: `<home>/state.json`.

Belongs here: its shape, its atomic writing, the lock that keeps two commands apart. Does not
belong here: reading it as settings (`settings.py`), the folder itself (`home_folder.py`), and never
a password: the file names password files.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from de_stack.setting_sources import STICKY, read_state, variable


def write_private(path: Path, text: str) -> None:
    """Write a file of mode 0600 in one step: a reader sees the old or the new text."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    new.replace(path)


def load(home: Path) -> dict[str, Any]:
    """The state with every section present."""
    return {"settings": {}, "services": {}, "ports": {}} | read_state(home)


def save(home: Path, state: Mapping[str, Any]) -> None:
    """Write the state."""
    write_private(home / "state.json", json.dumps(state, indent=2, sort_keys=True) + "\n")


def sticky_from(environ: Mapping[str, str]) -> dict[str, str]:
    """Remembered settings that are given in this environment."""
    return {name: environ[variable(name)] for name in STICKY if environ.get(variable(name))}


def forgotten_in(environ: Mapping[str, str]) -> set[str]:
    """Remembered settings that are given as nothing: `DE_STACK_GENERATOR_RATE= de-stack up`."""
    return {name for name in STICKY if environ.get(variable(name)) == ""}


@contextmanager
def locked(home: Path, say: Callable[[str], None]) -> Iterator[None]:
    """Keep a second `up` or `down` of the same home waiting. The lock dies with its holder."""
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another de-stack command on this home to finish")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
