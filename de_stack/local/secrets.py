"""Passwords of the local services: made once, kept in files that only the owner reads.

Belongs here: password files in libpq's format, and addresses that name the file instead of the
password. Does not belong here: roles and databases (`postgres.py`).
"""

from __future__ import annotations

import secrets
from pathlib import Path
from urllib.parse import quote

from de_stack.local.service import LOOPBACK
from de_stack.local.state import write_private


def pass_file(home: Path, role: str) -> Path:
    """Password file of a role."""
    return home / "secrets" / f"{role}.pgpass"


def password(home: Path, role: str) -> str:
    """A role's password; made when it has none yet. Any port: the server may move."""
    path = pass_file(home, role)
    if not path.exists():
        made = secrets.token_urlsafe(24)
        write_private(path, f"{LOOPBACK}:*:*:{role}:{made}\n")
    return path.read_text().strip().rpartition(":")[2]


def dsn(home: Path, port: int, role: str, database: str) -> str:
    """Address for libpq; it names the password file, so it may be logged and stored."""
    file = quote(str(pass_file(home, role)), safe="/")
    return f"postgresql://{role}@{LOOPBACK}:{port}/{database}?passfile={file}"
