"""Where events go.

Belongs here: one class per destination; `send` returns when the whole batch is safe there. Does not
belong here: retries and rate (`run.py`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol, TextIO

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.sources.generator.events import Event

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)
SOURCE = "de_stack/generator"


class Sink(Protocol):
    """A destination."""

    def send(self, events: Sequence[Event]) -> Sequence[Event]:
        """Deliver a batch; those that must be sent again (same ids) are returned.

        Raises:
            TransientFailure: none arrived for sure; send all of them again.
            PermanentFailure: it makes no sense to go on.
        """
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


class Console:
    """Prints each event's message on a line of its own."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def send(self, events: Sequence[Event]) -> Sequence[Event]:
        """Print."""
        self._out.write("".join(f"{e.data.decode()}\n" for e in events))
        self._out.flush()
        return ()

    def close(self) -> None:
        """Nothing to do: the stream is not ours."""


class Collector:
    """Sends batches of CloudEvents to the collector."""

    def __init__(self, client: httpx.Client, url: str, stream: str) -> None:
        self._client, self._stream = client, stream
        self._url = f"{url.rstrip('/')}/v1/streams/{stream}"

    def send(self, events: Sequence[Event]) -> Sequence[Event]:
        """POST; what was refused for good is logged, what was not taken now is returned."""
        import httpx

        tried = f"send {len(events)} events to {self._url}"
        content = b"[%s]" % b",".join(self._cloud_event(e) for e in events)
        try:
            response = self._client.post(
                self._url,
                content=content,
                headers={"content-type": "application/cloudevents-batch+json"},
            )
        except httpx.TransportError as error:
            raise TransientFailure(tried, f"{type(error).__name__}: {error}") from error
        if response.status_code == 202:
            return ()
        if response.status_code == 207:
            return self._sort_out(events, response.json()["items"])
        got = f"{response.status_code}: {response.text[:300]}"
        if response.status_code in (408, 429) or response.status_code >= 500:
            raise TransientFailure(tried, got)
        raise PermanentFailure(tried, got, "is this the collector, and does it know the stream?")

    def _sort_out(self, events: Sequence[Event], items: list[dict]) -> Sequence[Event]:
        refused = [i for i in items if i["status"] not in (202, 503)]
        if refused:
            log.error("refused for good", extra={"events": len(refused), "first": refused[0]})
        return [e for e, item in zip(events, items, strict=True) if item["status"] == 503]

    def _cloud_event(self, event: Event) -> bytes:
        head = {
            "specversion": "1.0",
            "id": event.id,
            "source": SOURCE,
            "type": self._stream,
            "time": event.time,
            "datacontenttype": "application/json",
        }
        # The message's bytes are put in as they are: they reach Kafka unchanged.
        return b'%s,"data":%s}' % (json.dumps(head)[:-1].encode(), event.data)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
