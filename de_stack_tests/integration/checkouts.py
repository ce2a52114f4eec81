"""Copies of the checkout, for what writes into one, and commands in them.

Belongs here: what such tests share. Does not belong here: what they look at.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from de_stack_tests import services

PARTS = ("de_stack", "de_stack_tests", "dbt_project", "pyproject.toml", ".gitignore")


def copied(root: Path) -> Path:
    """A copy of all that the code location and the tests need."""
    root.mkdir()
    unwanted = shutil.ignore_patterns("__pycache__", "target", "logs")
    for part in PARTS:
        source = services.REPOSITORY / part
        if source.is_dir():
            shutil.copytree(source, root / part, ignore=unwanted)
        else:
            shutil.copy(source, root / part)
    return root


def run(root: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A command in a checkout, with its code, on the services of the session."""
    named = {"DE_STACK_TEST_HOME": str(services.HOME), "DE_STACK_TEST_KEEP": "1"}
    return subprocess.run(
        command,
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root), **named},
        capture_output=True,
        text=True,
        timeout=280,
    )
