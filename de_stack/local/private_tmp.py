"""A folder below the system's temporary folder that only this user may enter.

Belongs here: making it, and refusing one that somebody else has made. Does not belong here: what
lies in it.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from de_stack.failures import PermanentFailure


def private_tmp(name: str) -> Path:
    """The folder of this user with a name; made where there is none.

    Raises:
        PermanentFailure: it is not ours alone.
    """
    folder = Path(tempfile.gettempdir()) / f"de_stack-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermanentFailure(
            f"use {folder}",
            "it is not ours alone",
            "remove it, or set TMPDIR to a folder of yours",
            page="not-a-home",
        )
    return folder
