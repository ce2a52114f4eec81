"""What came to the door and the strict decoder refuses -> the bytes that its sender may have meant.

Belongs here: times in other forms, records in an envelope. Does not belong here: whether the result
holds the contract (the strict decoder is asked again), what a time is (`times.py`).

Only what has to change does: a time's text is replaced where it stands, all around it stays byte
for byte. An item in an envelope is written anew from the values at the envelope's paths, each as it
was spelled; what else the sender's transport added does not come along.

The door asks, and whoever judges again what the door has refused: a letter keeps its own bytes. A
message that came to Kafka by itself is taken as it is.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from de_stack.contracts.message import object_of
from de_stack.contracts.spans import Spans
from de_stack.contracts.times import rfc3339

if TYPE_CHECKING:
    from de_stack.contracts import Envelope, Field, Stream

Normalise = Callable[[bytes], bytes | None]


def normaliser_for(stream: Stream) -> Normalise:
    """A function (item) -> other bytes for it; None where there is nothing to mend."""
    times = [f.path for f in stream.fields if f.type == "timestamp"]
    event_time = stream.field(stream.event_time)

    def normalise(data: bytes) -> bytes | None:
        try:
            item = Spans(data.decode())
            if not item.of(event_time.path):
                found = filter(None, (_out_of(e, stream, item) for e in stream.envelopes))
                item = next(map(Spans, found), item)
            mended = _with_times(item, times).encode()
        except (ValueError, RecursionError):
            # The strict decoder has said already what is wrong with it.
            return None
        return None if mended == data else mended

    return normalise


def _with_times(item: Spans, paths: list[tuple[str, ...]]) -> str:
    # Put together once: a key may stand there thousands of times.
    text, parts, last = item.text, [], 0
    for begin, end in sorted(span for path in paths for span in item.of(path)):
        if time := rfc3339(text[begin:end]):
            parts += [text[last:begin], time]
            last = end
    return "".join([*parts, text[last:]])


def _out_of(envelope: Envelope, stream: Stream, item: Spans) -> str | None:
    """The record in an envelope; None where the item is not in it: it has no event time there."""
    if not _values(envelope, stream.event_time, item):
        return None
    members: list[tuple[Field, str]] = []
    for field in stream.fields:
        found = _values(envelope, field.name, item)
        if not found and field.name in envelope.defaults:
            found = [json.dumps(envelope.defaults[field.name])]
        # All, if a key stands twice: which of them was meant is not for us to say.
        members += [(field, value) for value in found]
    return object_of(members)


def _values(envelope: Envelope, name: str, item: Spans) -> list[str]:
    for path in envelope.paths.get(name, ()):
        found = [item.text[slice(*span)] for span in item.of(path)]
        if found and found != ["null"]:
            return found
    return []
