"""Which port each service gets: the preferred one, the one of last time, or the next free one.

Belongs here: choosing ports on loopback, and keeping others from choosing the same. Does not belong
here: which service wants which port.

Between the choice and the moment that a service listens lie seconds to minutes. Another `up` of
this user cannot choose the port in that time: it is reserved by a locked file. The file names the
home that got the port, which so keeps it while a service of it restarts. Somebody else can take it;
then the service cannot start, which is a `PortTaken`.
"""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.local.private_tmp import private_tmp
from de_stack.local.service import LOOPBACK, listens

_SPAN = 500


class PortTaken(TransientFailure):
    """Somebody else listens at a port that a service was given."""

    page = "port-taken"


def is_free(port: int) -> bool:
    """True when nobody listens at `port`, neither on loopback nor on all addresses."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Sockets that linger in TIME_WAIT after a restart do not make the port a taken one.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return not listens(port, timeout_seconds=0.2)


@contextmanager
def reserving(home: Path, is_kept: Callable[[Path, int], bool]) -> Iterator[Callable[[int], bool]]:
    """Yield a question to ask instead of `is_free`: who hears yes has the port to the block's end.

    The locks die with their holder.

    Args:
        home: who asks.
        is_kept: tells whether another home, which had the port last, still counts on it.
    """
    folder = private_tmp("ports")
    with ExitStack() as held:

        def reserve(port: int) -> bool:
            file = (folder / str(port)).open("a+")
            if not _take(file, home, port, is_kept):
                file.close()
                return False
            held.enter_context(file)
            return True

        yield reserve


def _take(file: IO[str], home: Path, port: int, is_kept: Callable[[Path, int], bool]) -> bool:
    """Lock a port's file and write our home into it; False where it is another's."""

    def is_anothers() -> bool:
        file.seek(0)
        last = file.read()
        return bool(last) and last != str(home) and is_kept(Path(last), port)

    # Before the lock: whose port it is may want it in this moment, and would find it locked.
    if is_anothers():
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    # Under the lock: who held it before us may have got the port, or have begun to listen.
    if is_anothers() or not is_free(port):
        return False
    file.truncate(0)
    file.write(str(home))
    file.flush()
    return True


def choose(
    wanted: Mapping[str, int],
    sticky: Mapping[str, int],
    in_use_by_us: frozenset[str] = frozenset(),
    free: Callable[[int], bool] = is_free,
) -> tuple[dict[str, int], list[str]]:
    """Give every wanted name a port.

    Args:
        wanted: port name -> preferred port.
        sticky: port name -> port of last time.
        in_use_by_us: names whose sticky port is taken by our own running process: they stay.
        free: tells whether a port can be had.

    Returns:
        Port of every wanted name, and a sentence for each that could not have the port it had or
        prefers.

    Raises:
        PermanentFailure: no free port in the 500 from the preferred one on.
    """
    reserved = {port for name, port in sticky.items() if name in in_use_by_us or name not in wanted}
    chosen: dict[str, int] = {}
    moved: list[str] = []
    for name, preferred in wanted.items():
        first = sticky.get(name, preferred)
        if name in in_use_by_us and name in sticky:
            chosen[name] = first
            continue
        candidates = [first, *range(preferred, preferred + _SPAN)]
        port = next((p for p in candidates if p not in reserved and p < 65536 and free(p)), None)
        if port is None:
            raise PermanentFailure(
                f"find a port for {name}",
                f"every port from {preferred} to {preferred + _SPAN - 1} is taken",
                "stop what listens there (`ss -ltnp`)",
                page="port-taken",
            )
        if port != first:
            moved.append(f"{name}: port {first} is taken by another process, moved to {port}")
        chosen[name] = port
        reserved.add(port)
    return chosen, moved
