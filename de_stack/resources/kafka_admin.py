"""kafka-python's admin client, one that leaves nothing behind when it cannot begin.

Belongs here: that client; the import costs kafka-python, so it is done where it is needed. Does not
belong here: options, deadlines, what is asked.

The client's own begins its thread before it looks for a broker and, where none answers, keeps the
thread and four file descriptors: sensors that ask every few seconds would have had no more of them
within the hour that a broker was away.
"""

from __future__ import annotations

from typing import Any

from kafka import KafkaAdminClient


class Admin(KafkaAdminClient):
    """An admin client; when the constructor raises, all that it had opened is closed."""

    def __init__(self, **options: Any) -> None:
        # Without this name `close` takes a client that did not begin for one that is closed.
        self._closed = False
        try:
            super().__init__(**options)
        except BaseException:
            if hasattr(self, "_net"):
                self.close()
            raise
