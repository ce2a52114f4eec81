"""Where events go: what every destination promises, and the simplest one.

Belongs here: the protocol, the console. Does not belong here: retries and rate (`run.py`), the
other destinations (`http_sink.py`, `kafka_sink.py`, `file_sink.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import BinaryIO, NamedTuple, Protocol

from de_stack.sources.generator.events import Event

SOURCE = "de_stack/generator"


class Sent(NamedTuple):
    """What became of a batch: `again` must be sent again, `refused` will never be taken."""

    again: Sequence[Event] = ()
    refused: int = 0
    first_refusal: str = ""


class Sink(Protocol):
    """A destination."""

    def send(self, events: Sequence[Event]) -> Sent:
        """Deliver a batch; what is neither in `again` nor refused is safe there.

        Raises:
            TransientFailure: none arrived for sure; send all of them again (same ids).
            PermanentFailure: it makes no sense to go on.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


def lines_of(events: Sequence[Event]) -> bytes:
    """Each event's message on a line of its own, as it is: a malformed one may be no text."""
    return b"".join(e.data + b"\n" for e in events)


class Console:
    """Prints each event's message on a line of its own."""

    def __init__(self, out: BinaryIO) -> None:
        self._out = out

    def send(self, events: Sequence[Event]) -> Sent:
        """Print."""
        self._out.write(lines_of(events))
        self._out.flush()
        return Sent()

    def close(self) -> None:
        """Nothing to do: the stream is not ours."""
