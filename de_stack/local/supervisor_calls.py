"""How one talks to supervisord: its socket, its remote calls, what goes wrong in them.

Belongs here: the connection. Does not belong here: what is asked for (`supervisor.py`).
"""

from __future__ import annotations

import hashlib
import http.client
import os
import socket
import xmlrpc.client
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.local.private_tmp import private_tmp

# Longest socket path that every system takes is 103 bytes.
_LONGEST_SOCKET = 100
# Faults that pass by themselves; all others say that a program is not as it should be.
_PASSING = ("SHUTDOWN_STATE", "STILL_RUNNING")


def socket_path(home: Path) -> Path:
    """Supervisor's socket: in the home, or in a private folder of /tmp if that path is too long.

    Raises:
        PermanentFailure: somebody else owns that folder.
    """
    path = home / "supervisor" / "supervisord.sock"
    if len(os.fsencode(path)) <= _LONGEST_SOCKET:
        return path
    digest = hashlib.sha256(os.fsencode(home)).hexdigest()[:12]
    return private_tmp(digest) / "supervisord.sock"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_seconds: float) -> None:
        super().__init__("localhost", timeout=timeout_seconds)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class _Transport(xmlrpc.client.Transport):
    def __init__(self, path: Path, timeout_seconds: float) -> None:
        super().__init__()
        self._path, self._timeout_seconds = path, timeout_seconds

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ARG002
        return _Connection(self._path, self._timeout_seconds)


def rpc(home: Path, timeout_seconds: float = 60) -> Any:
    """Supervisor's remote calls, each with a deadline."""
    transport = _Transport(socket_path(home), timeout_seconds)
    return xmlrpc.client.ServerProxy("http://localhost/RPC2", transport=transport).supervisor


class Away(TransientFailure):
    """No supervisord of this home runs: nobody is at its socket."""

    page = "service-ended"


@contextmanager
def asking(tried: str) -> Iterator[None]:
    """Make a failure of what goes wrong in a remote call.

    Raises:
        Away: supervisord does not run.
        TransientFailure: it did not answer, which says nothing about what runs; or it ends.
        PermanentFailure: it refused.
    """
    try:
        yield
    except xmlrpc.client.Fault as fault:
        passes = fault.faultString.startswith(_PASSING)
        kind = TransientFailure if passes else PermanentFailure
        got = f"supervisord refused: {fault.faultString}"
        raise kind(
            tried, got, "`de-stack down`, then `de-stack up`", page="service-ended"
        ) from fault
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise Away(tried, "supervisord does not run", "`de-stack up`") from error
    except (OSError, http.client.HTTPException, xmlrpc.client.Error) as error:
        got = f"supervisord gave no answer ({type(error).__name__}: {error})"
        raise TransientFailure(
            tried, got, "again; if it stays so, `de-stack down` ends it", page="service-ended"
        ) from (error)


def remove_socket(home: Path) -> None:
    """Remove the socket of a supervisord that is gone, and a folder made for it."""
    path = socket_path(home)
    path.unlink(missing_ok=True)
    if not path.is_relative_to(home):
        path.parent.rmdir()
