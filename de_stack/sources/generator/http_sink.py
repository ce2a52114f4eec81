"""Events -> the collector, in batches of CloudEvents.

Belongs here: the request, and what each answer means for its events. Does not belong here: retries
(`run.py`), the collector.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from de_stack.failures import PermanentFailure, TransientFailure
from de_stack.sources.generator.events import Event
from de_stack.sources.generator.sinks import SOURCE, Sent

if TYPE_CHECKING:
    import httpx

# The collector's door takes 8 MiB and 10,000 items; half of it leaves room for what is around data.
_MOST_BYTES = 4 << 20
_FIX = "is this the collector, and does it know the stream?"


class Collector:
    """Sends to one stream's door.

    What is no JSON would spoil the batch that it stands in: it goes alone, and is refused alone. So
    do lines of CSV, which have an id each.
    """

    def __init__(self, client: httpx.Client, url: str, stream: str) -> None:
        self._client, self._stream = client, stream
        self._url = f"{url.rstrip('/')}/v1/streams/{stream}"

    def send(self, events: Sequence[Event]) -> Sent:
        """POST; what was refused for good is counted, what was not taken now is to come again."""
        again: list[Event] = []
        refused, first, settled = 0, "", 0
        parts = _parts(events)
        for number, part in enumerate(parts):
            try:
                done = self._batch(part) if part[0].is_json else self._alone(part[0])
            except TransientFailure:
                if not settled:
                    raise
                # Some have arrived: only the others are to be sent again.
                again += [event for rest in parts[number:] for event in rest]
                break
            again += done.again
            refused += done.refused
            first = first or done.first_refusal
            settled += len(part) - len(done.again)
        return Sent(again, refused, first)

    def _batch(self, events: Sequence[Event]) -> Sent:
        content = b"[%s]" % b",".join(self._cloud_event(e) for e in events)
        media = "application/cloudevents-batch+json"
        response = self._post(len(events), content, {"content-type": media})
        if response.status_code == 202:
            return Sent()
        items = _items(response)
        if response.status_code >= 500 or items is None or len(items) != len(events):
            raise self._refused(len(events), response)
        found = [i for i in items if i["status"] not in (202, 503)]
        again = [e for e, item in zip(events, items, strict=True) if item["status"] == 503]
        return Sent(again, len(found), json.dumps(found[0]) if found else "")

    def _alone(self, event: Event) -> Sent:
        headers = {
            "content-type": event.media,
            "ce-specversion": "1.0",
            "ce-id": event.id,
            "ce-source": SOURCE,
            "ce-type": self._stream,
            "ce-time": event.time,
        }
        response = self._post(1, event.data, headers)
        if response.status_code == 202:
            return Sent()
        if response.status_code in (400, 413, 422):
            return Sent((), 1, response.text[:300])
        raise self._refused(1, response)

    def _post(self, events: int, content: bytes, headers: dict[str, str]) -> httpx.Response:
        import httpx

        try:
            return self._client.post(self._url, content=content, headers=headers)
        except httpx.TransportError as error:
            tried = f"send {events} events to {self._url}"
            raise TransientFailure(
                tried, f"{type(error).__name__}: {error}", page="system-away"
            ) from error

    def _refused(
        self, events: int, response: httpx.Response
    ) -> TransientFailure | PermanentFailure:
        tried = f"send {events} events to {self._url}"
        got = f"{response.status_code}: {response.text[:300]}"
        if response.status_code in (408, 429) or response.status_code >= 500:
            return TransientFailure(tried, got, page="collector")
        return PermanentFailure(tried, got, _FIX, page="collector")

    def _cloud_event(self, event: Event) -> bytes:
        head = (
            f'{{"specversion":"1.0","id":"{event.id}","source":"{SOURCE}",'
            f'"type":"{self._stream}","time":"{event.time}","datacontenttype":"application/json"'
        )
        # The message's bytes are put in as they are: they reach Kafka unchanged.
        return b'%s,"data":%s}' % (head.encode(), event.data)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def _parts(events: Sequence[Event]) -> list[list[Event]]:
    """Requests: batches of whole events, each event that is no JSON alone, in order."""
    parts: list[list[Event]] = []
    size = _MOST_BYTES + 1
    for event in events:
        size += len(event.data) + 300
        if not event.is_json:
            parts.append([event])
            size = _MOST_BYTES + 1
        elif size > _MOST_BYTES:
            parts.append([event])
            size = len(event.data) + 300
        else:
            parts[-1].append(event)
    return parts


def _items(response: httpx.Response) -> list[dict[str, Any]] | None:
    """The fate of each item, where the answer tells it."""
    try:
        body = response.json()
    except ValueError:
        return None
    items = body.get("items") if isinstance(body, dict) else None
    return items if isinstance(items, list) else None
