"""The form of a log line: what happened, then `name=value` for people and programs alike.

Belongs here: the text. Does not belong here: handlers (`sources/logs.py` for programs, Dagster's
own for runs), what is logged.
"""

from __future__ import annotations

import json
from typing import Any


def key_values(fields: dict[str, Any]) -> str:
    """`a=1 b="two words"`; fields that are None are left out."""
    return " ".join(f"{k}={_text(v)}" for k, v in fields.items() if v is not None)


def line(event: str, **fields: Any) -> str:
    """One line: `landed a slice run_id=9b1e stream=telemetry.measures slice=3`.

    Dagster shows a message and drops `extra`, hence the fields are part of the text.
    """
    return f"{event} {key_values(fields)}" if fields else event


def _text(value: Any) -> str:
    text = str(value)
    return text if text and not any(c in text for c in ' "=\n') else json.dumps(text)
