"""Alerts: a file of JSON lines that is kept, and a webhook that is told.

Belongs here: appending, reading, sending. Does not belong here: what deserves an alert, what it
says (`orchestration.alerts`).

The file is the queue: who sends remembers how far he has come, in bytes.
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure, TransientFailure

if TYPE_CHECKING:
    from de_stack.settings import Settings

_DEADLINE_S = 5.0
# It reads what it is sent and wants none of it: the same bytes would be refused for ever.
_REFUSED = (400, 413, 415, 422)


class Alerts:
    """The alerts of this home."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.path: Path = settings.home / "alerts" / "alerts.jsonl"

    def append(self, alert: dict[str, Any]) -> bool:
        """Keep an alert; False, and nothing is written, where this run has one already.

        Raises:
            OSError: it could not be written as a whole; nothing of it is left.
        """
        if alert["run_id"] in self.run_ids():
            return False
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        line = json.dumps(alert).encode() + b"\n"
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            # A line that was cut off by a crash must not swallow the next one.
            if size and os.pread(descriptor, 1, size - 1) != b"\n":
                line = b"\n" + line
            if (written := os.write(descriptor, line)) < len(line):
                os.ftruncate(descriptor, size)
                raise OSError(errno.ENOSPC, f"{written} of {len(line)} bytes", str(self.path))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        return True

    def run_ids(self) -> set[str]:
        """The runs that have an alert."""
        return {alert["run_id"] for alert, _ in self.after(0) if "run_id" in alert}

    def after(self, position: int) -> Iterator[tuple[dict[str, Any], int]]:
        """Alerts behind a position, oldest first, each with the position after it.

        A file that is shorter than that was made anew: it is read from its beginning.
        """
        if not self.path.exists():
            return
        if position > self.size():
            position = 0
        with self.path.open("rb") as file:
            file.seek(position)
            for line in file:
                position += len(line)
                if line.strip():
                    yield _read(line), position

    def size(self) -> int:
        """Position of the end."""
        return self.path.stat().st_size if self.path.exists() else 0

    def send(self, alert: dict[str, Any]) -> None:
        """Post an alert to the webhook.

        Raises:
            PermanentFailure: no webhook is set, or it refused this very alert.
            TransientFailure: it did not take the alert within 5 s.
        """
        webhook, tried = self._settings.alert_webhook, f"send the alert of {alert.get('run_id')}"
        if webhook is None:
            raise PermanentFailure(tried, "no webhook", "set DE_STACK_ALERT_WEBHOOK")
        import httpx

        try:
            status = asyncio.run(
                asyncio.wait_for(_post(webhook.get_secret_value(), alert), _DEADLINE_S)
            )
        except TimeoutError as error:
            raise TransientFailure(
                tried, f"no answer within {_DEADLINE_S:.0f} s", page="alert-webhook"
            ) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            # Its text may hold the address, which is a secret: whoever knows it can write there.
            fix = "correct DE_STACK_ALERT_WEBHOOK"
            raise TransientFailure(tried, type(error).__name__, fix, page="alert-webhook") from None
        if status in _REFUSED:
            fix = f"read it with `de-stack alerts`; it stays in {self.path}"
            raise PermanentFailure(
                tried, f"the webhook answered {status}", fix, page="alert-webhook"
            )
        if not httpx.codes.is_success(status):
            # Somewhere else, it may say: whoever answers there was not asked for.
            fix = "correct DE_STACK_ALERT_WEBHOOK" if httpx.codes.is_redirect(status) else ""
            raise TransientFailure(
                tried, f"the webhook answered {status}", fix, page="alert-webhook"
            )


async def _post(url: str, alert: dict[str, Any]) -> int:
    import httpx

    async with httpx.AsyncClient(timeout=_DEADLINE_S) as client:
        return (await client.post(url, json=alert)).status_code


def _read(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"unreadable": line.decode(errors="replace")}
