"""Events as lines of CSV, on their way to any sink.

Belongs here: what a sender of lines does to them: fixed widths, a time for people. Does not belong
here: which field is in which cell (`contracts.csv_line`), the sinks.

The lines are those of the first stocks producer: times are milliseconds; the values of a list are
filled up with blanks to the longest of them (`BUY `); and a cell of no field has the time once
more, in a zone that it does not name, ten hours ahead of UTC. Whoever reads that one is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import msgspec

from de_stack.contracts.csv_line import MEDIA, line_of
from de_stack.sources.generator.events import Event
from de_stack.sources.generator.sinks import Sent, Sink

if TYPE_CHECKING:
    from de_stack.contracts import Field, Stream

_LOCAL = timezone(timedelta(hours=10))


class Lines:
    """A sink of lines in front of a sink of messages. What is no JSON passes as it is."""

    def __init__(self, stream: Stream, open_sink: Callable[[], Sink]) -> None:
        self._stream, self._sink = stream, open_sink()
        self._fields = [stream.field(name) for name in stream.csv_line if name]

    def send(self, events: Sequence[Event]) -> Sent:
        """Deliver a batch; events that come again are lines already."""
        return self._sink.send([self._line(e) if e.is_json else e for e in events])

    def close(self) -> None:
        """Let go of connections."""
        self._sink.close()

    def _line(self, event: Event) -> Event:
        message = msgspec.json.decode(event.data)
        # A cell has no type: of what is broken on purpose, a text that is none is left out as well.
        lost = {f.name for f in self._fields if not self._write(message, f)}
        broken = event.fault == "malformed"
        kept = tuple(n for n in self._stream.csv_line if not (broken and n in lost))
        local = datetime.fromisoformat(event.time).astimezone(_LOCAL)
        spare = local.replace(tzinfo=None).isoformat(" ", "milliseconds")
        line = line_of(replace(self._stream, csv_line=kept), message, spare)
        return event._replace(data=line, is_json=False, media=MEDIA)

    def _write(self, message: dict[str, Any], field: Field) -> bool:
        """Make a value what stands in its cell; False where there is none."""
        place: Any = message
        for part in field.path[:-1]:
            place = place.get(part) or {}
        value = place.get(field.path[-1])
        if field.type == "timestamp" and isinstance(value, str):
            place[field.path[-1]] = _milliseconds(value)
        elif field.allowed and isinstance(value, str):
            place[field.path[-1]] = value.ljust(max(map(len, field.allowed)))
        return isinstance(value, str) if field.type == "string" else value is not None


def _milliseconds(text: str) -> int | str:
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1000)
    except ValueError:
        return text
