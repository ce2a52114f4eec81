"""A small file system under the lake of a test, whose room can be cut to the last file or page.

Belongs here: mounting, cutting, taking away. Does not belong here: who writes to it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest

Unit = Literal["files", "pages"]
_PAGE = 4096
_PLENTY = {"files": 10_000, "pages": 20_000}


@dataclass(frozen=True)
class SmallDisk:
    """A tmpfs. It is cut anew before each attempt: what failed attempts left behind counts, too."""

    place: Path

    def leave(self, unit: Unit, room: int) -> None:
        """Leave room for so many more files (or pages of 4 KiB); plenty of the other."""
        found = os.statvfs(self.place)
        used = {
            "files": found.f_files - found.f_ffree,
            "pages": (found.f_blocks - found.f_bfree) * found.f_frsize // _PAGE,
        }
        most = _PLENTY | {unit: used[unit] + room}
        options = f"remount,nr_inodes={most['files']},size={most['pages'] * _PAGE}"
        subprocess.run(["mount", "-o", options, str(self.place)], check=True)

    def leave_plenty(self) -> None:
        """As on a disk that somebody has cleared."""
        self.leave("files", _PLENTY["files"])


@contextmanager
def mounted(place: Path) -> Iterator[SmallDisk]:
    """A small disk at a folder, taken away again whatever happens; skips where that is refused."""
    if shutil.which("mount") is None:
        pytest.skip("a small file system needs the command `mount`")
    place.mkdir(parents=True)
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "mode=755", "de_stack_test", str(place)],
        check=False,
        capture_output=True,
        text=True,
    )
    if made.returncode:
        pytest.skip(f"no small file system can be mounted here: {made.stderr.strip()}")
    try:
        disk = SmallDisk(place)
        disk.leave_plenty()
        yield disk
    finally:
        # Lazy: a reader of Spark's may still hold a file.
        subprocess.run(["umount", "--lazy", str(place)], check=True)
