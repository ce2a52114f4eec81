"""Bytes of a request -> the items in it, each with its envelope.

Belongs here: the forms in which events may be sent. Does not belong here: what a contract says
about an item (`check.py`).

| content type                       | body                                   | event id       |
|------------------------------------|----------------------------------------|----------------|
| application/json                   | one object                             | header `ce-id` |
| application/json                   | an array of objects                    | made here      |
| application/x-ndjson               | an object per line                     | made here      |
| text/csv, where the stream takes it | one line                              | header `ce-id` |
| text/csv, where the stream takes it | a line per event, without that header | made here      |
| application/cloudevents+json       | one CloudEvent, structured             | its `id`       |
| application/cloudevents-batch+json | an array of CloudEvents (may be empty) | `id` of each   |

An id that is absent is made (`ids.py`) and told in the answer. The bytes of an item are kept as
they were sent: nothing is parsed and written anew.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Literal

import msgspec

from de_stack.contracts.csv_line import MEDIA as CSV
from de_stack.sources.collector.ids import IdFor, made, new_id

JSON, NDJSON = "application/json", "application/x-ndjson"
EVENT, EVENT_BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
# Of every stream; one with a form for lines of CSV takes `CSV` as well.
CONTENT_TYPES = (JSON, NDJSON, EVENT, EVENT_BATCH)
MAX_ID = 256
_ANY_ID = made(new_id)


class BodyError(Exception):
    """The body as a whole cannot be taken apart; the message says why."""


class TooMany(Exception):
    """There are more items than one request may have; the message says how many."""

    def __init__(self, items: int, most: int) -> None:
        super().__init__(f"{items} items, at most {most}")


@dataclass(frozen=True, slots=True)
class Item:
    """One event as it came: its data's bytes and what its envelope said ("" = did not say).

    `refusal` is (code, field, reason) where the envelope itself is no good.
    """

    id: str
    data: bytes
    source: str = ""
    type: str = ""
    time: str = ""
    refusal: tuple[str, str | None, str] | None = None
    media: str = JSON


class _CloudEvent(msgspec.Struct):
    id: str
    specversion: Literal["1.0"] = "1.0"
    source: str = ""
    type: str = ""
    time: str = ""
    data: msgspec.Raw = msgspec.Raw()


_TIME = Annotated[datetime, msgspec.Meta(tz=True)]
_CLOUD_EVENT = msgspec.json.Decoder(_CloudEvent)


def media_type(content_type: str) -> str:
    """`application/json` of `Application/JSON; charset=utf-8`."""
    return content_type.partition(";")[0].strip().lower()


def read_body(
    media: str,
    headers: Mapping[str, str],
    body: bytes,
    id_for: IdFor = _ANY_ID,
    most: int = sys.maxsize,
) -> tuple[list[Item], bool]:
    """The items of a body, and whether it was a batch.

    Raises:
        BodyError: it is not of the form that its content type promises.
        TooMany: it has more than `most` items. They are counted before anything is made of them.
    """
    if media == JSON or (media == CSV and "ce-id" in headers):
        if media == JSON and body.lstrip(b" \t\r\n")[:1] == b"[":
            return [_item(id_for(i, raw), raw) for i, raw in enumerate(_elements(body, most))], True
        if not body.strip():
            msg = "the body is empty"
            raise BodyError(msg)
        given = {name: headers.get(f"ce-{name}", "") for name in ("source", "type", "time")}
        event_id = headers.get("ce-id")
        event_id = id_for(0, body.strip()) if event_id is None else event_id
        return [_item(event_id, body, **given, media=media)], False
    if media in (NDJSON, CSV):
        of = JSON if media == NDJSON else CSV
        lines = enumerate(_lines(body, most))
        return [_item(id_for(i, line), line, media=of) for i, line in lines], True
    if media == EVENT:
        return [_event(body, id_for, 0)], False
    return [_event(raw, id_for, i) for i, raw in enumerate(_elements(body, most))], True


def _elements(body: bytes, most: int) -> list[bytes]:
    try:
        found = msgspec.json.decode(body, type=list[msgspec.Raw])
        if len(found) > most:
            raise TooMany(len(found), most)
        return [bytes(raw) for raw in found]
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"not a JSON array: {error}"
        raise BodyError(msg) from error


def _lines(body: bytes, most: int) -> list[bytes]:
    # Blank lines are no items, but nobody sends many of them.
    if (lines := body.count(b"\n")) > 2 * most:
        raise TooMany(lines, most)
    found = [line for line in (raw.strip(b" \t\r") for raw in body.split(b"\n")) if line]
    if len(found) > most:
        raise TooMany(len(found), most)
    return found


def _item(
    event_id: str,
    data: bytes,
    source: str = "",
    type: str = "",  # noqa: A002
    time: str = "",
    media: str = JSON,
) -> Item:
    refusal = None
    if not 0 < len(event_id) <= MAX_ID:
        refusal = ("envelope", "id", f"an event id has 1 to {MAX_ID} characters")
    elif time and not _is_time(time):
        refusal, time = ("envelope", "time", "the event's time is no RFC 3339"), ""
    return Item(event_id[:MAX_ID], data, source, type, time, refusal, media)


def _is_time(text: str) -> bool:
    try:
        msgspec.convert(text, _TIME)
    except msgspec.ValidationError:
        return False
    return True


def _event(raw: bytes, id_for: IdFor, index: int) -> Item:
    """One CloudEvent in structured form; without an `id` it is not one."""
    try:
        event = _CLOUD_EVENT.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Item(id_for(index, raw), raw, refusal=("envelope", None, str(error)[:200]))
    if not event.data:
        refusal = ("envelope", "data", "has no data (data_base64 is not read)")
        return Item(event.id, raw, refusal=refusal)
    return _item(event.id, bytes(event.data), event.source, event.type, event.time)
