"""Does the written code load: the code location of a checkout, in an interpreter of its own.

Belongs here: starting that interpreter and what came back. Does not belong here: writing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from de_stack.failures import PermanentFailure

_CODE = """
import json, sys
from de_stack.definitions import defs
from de_stack.orchestration.drawing import drawn
json.dump(drawn(defs(), sys.argv[1]), sys.stdout)
"""
_SECONDS = 300


def graph(root: Path, domain: str) -> dict[str, Any]:
    """The asset graph of a domain, as the checkout's code makes it. dbt's manifest is made first.

    Raises:
        PermanentFailure: the code does not load; its last words are in the message.
    """
    tried = f"load the code location with {domain}"
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, our own words
            [sys.executable, "-W", "ignore", "-c", _CODE, domain],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(root)},
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PermanentFailure(tried, f"nothing after {_SECONDS} s", page="new-stream") from error
    if done.returncode != 0:
        said = "\n".join(done.stderr.strip().splitlines()[-8:])
        raise PermanentFailure(
            tried,
            said,
            "nothing was left behind; --dry-run says what it would be",
            page="new-stream",
        )
    return json.loads(done.stdout.strip().splitlines()[-1])
