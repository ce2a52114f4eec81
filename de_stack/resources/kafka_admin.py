"""kafka-python's admin client, one that begins in time and leaves nothing behind when it cannot.

Belongs here: that client; the import costs kafka-python, so it is done where it is needed. Does not
belong here: options, deadlines, what is asked.

The constructor of the client's own begins a thread before it looks for a broker and, where none
answers, keeps the thread and four file descriptors: sensors that ask every few seconds would have
had no more of them within hours. And where a broker takes a connection and says nothing, a TLS
handshake waits for it without end.
"""

from __future__ import annotations

import threading
from typing import Any

from kafka import KafkaAdminClient
from kafka.errors import KafkaTimeoutError

_AFTER_S = 1.0
_SILENT = "Unable to bootstrap: a broker takes the connection, and ends no TLS handshake"


class Admin(KafkaAdminClient):
    """An admin client; when the constructor raises, all that it had opened is closed.

    Args:
        bootstrap_timeout_ms: how long a broker is looked for; a second later it is given up.
        options: of kafka-python.

    Raises:
        KafkaError: no broker answered in time, or it refused us.
    """

    _net: Any

    def __init__(self, *, bootstrap_timeout_ms: int, **options: Any) -> None:
        # Without this name `close` takes a client that did not begin for one that is closed.
        self._closed, self._is_late = False, False
        late = threading.Timer(bootstrap_timeout_ms / 1000 + _AFTER_S, self._give_up)
        late.daemon = True
        late.start()
        try:
            options["bootstrap_timeout_ms"] = bootstrap_timeout_ms
            super().__init__(**options)
        except BaseException as error:
            if hasattr(self, "_net"):
                self.close()
            if self._is_late:
                raise KafkaTimeoutError(_SILENT) from error
            raise
        finally:
            late.cancel()
            late.join()

    def _give_up(self) -> None:
        """End the wait of the constructor: who waits on the loop is told that it has stopped."""
        if hasattr(self, "_net"):
            self._is_late = True
            self._net.stop()
