"""What a check of `de-stack doctor` says.

Belongs here: its shape. Does not belong here: any check.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One check: what was looked at, what was seen, and the command that mends it."""

    check: str
    is_ok: bool
    seen: str
    fix: str = ""
