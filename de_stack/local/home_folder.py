"""The folder that a stack lives in: made, known again, removed.

Belongs here: which folder may become a home and which one is a home. Does not belong here: what is
remembered in it (`state.py`), or who may start and stop what runs in it (`stack.py`).

`DE_STACK_HOME` can name any folder, and `down --purge` removes what it names: only a folder that we
have made or found empty may become a home.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from de_stack.failures import PermanentFailure

# They would break class paths, comma lists and the supervisor's configuration.
_BAD = set(":;,#%'\"\\\n\t")
MARKER = ".de_stack_home"
# A home from before there was a marker has one of these, from its first `up` on.
_SIGNS = (MARKER, "state.json", "supervisor/supervisord.conf")
# What other commands and hands put there before the first `up`: `de-stack setup` the first.
_SET_UP, _BEFOREHAND = "duckdb_extensions", frozenset({"collector", "dbt", "generator"})


def is_home(home: Path) -> bool:
    """True when a folder is a stack's own, or holds nothing that could be anybody's."""
    if any((home / sign).exists() for sign in _SIGNS):
        return True
    there = {path.name for path in home.iterdir()} - {".lock"}
    return not there or (_SET_UP in there and there <= _BEFOREHAND | {_SET_UP})


def check_home(home: Path, tried: str) -> None:
    """Refuse a folder that is somebody's and no home.

    Args:
        home: a folder that exists.
        tried: what is refused, in a few words.

    Raises:
        PermanentFailure: it is no folder, or has content and is no home.
    """
    if not home.is_dir():
        raise PermanentFailure(
            tried, "it is no folder", "set DE_STACK_HOME to a new folder", page="not-a-home"
        )
    if not is_home(home):
        names = sorted(path.name for path in home.iterdir() if path.name != ".lock")
        raise PermanentFailure(
            tried,
            f"it holds {', '.join(names[:3])}{', ...' if names[3:] else ''} and is no home of ours",
            f"set DE_STACK_HOME to a new or empty folder; if all in {home} is a stack's and may be "
            f"removed with it: `touch {home / MARKER}`",
            page="not-a-home",
        )


def make_home(home: Path) -> None:
    """Create the home folder and its private parts.

    Raises:
        PermanentFailure: the path cannot be used.
    """
    if bad := sorted(_BAD & set(str(home))):
        raise PermanentFailure(
            f"use {home} as home",
            f"the path holds {' '.join(map(repr, bad))}",
            "set DE_STACK_HOME to a folder without it",
            page="not-a-home",
        )
    if home.exists():
        check_home(home, f"use {home} as home")
    home.mkdir(parents=True, exist_ok=True)
    # First of all, and in one step: a second `up` must not meet a folder with content and no mark.
    (home / MARKER).touch()
    # As root, Postgres runs as another account and must pass through; the parts below stay private.
    home.chmod(0o711 if os.geteuid() == 0 else 0o700)
    (home / "data").mkdir(exist_ok=True)
    (home / "data").chmod(0o711 if os.geteuid() == 0 else 0o700)
    for part in ("secrets", "config", "logs", "supervisor"):
        (home / part).mkdir(exist_ok=True)
        (home / part).chmod(0o700)


def remove_home(home: Path) -> None:
    """Remove a home and all that is in it.

    Raises:
        PermanentFailure: it is no home.
    """
    check_home(home, f"remove {home}")
    shutil.rmtree(home)
