"""One line per event of a program in `sources/`, readable by people and by machines.

Belongs here: the formatter and its installation. Does not belong here: what is logged.
"""

from __future__ import annotations

import logging
import sys
import time

from de_stack.logs import key_values

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {
    "message",
    "asctime",
    "taskName",
    "color_message",
}


class KeyValue(logging.Formatter):
    """`2026-01-02T03:04:05Z INFO de_stack.sources.generator sent rate=50.0 total=3000`."""

    converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """The record's message followed by everything given as `extra`."""
        extra = key_values({k: v for k, v in vars(record).items() if k not in _OWN})
        when = self.formatTime(record, "%Y-%m-%dT%H:%M:%SZ")
        line = f"{when} {record.levelname} {record.name} {record.getMessage()} {extra}".rstrip()
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


def configure() -> None:
    """Send all logs of this process to standard error in our form."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(KeyValue())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # Its chatter at every reconnect hides what matters; what fails comes back as an exception.
    logging.getLogger("kafka").propagate = False
    logging.getLogger("kafka").addHandler(logging.NullHandler())
    logging.getLogger("httpx").setLevel(logging.WARNING)
