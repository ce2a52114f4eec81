"""From what a request carries to what became of it.

Belongs here: the order of the steps, for one stream's body. Does not belong here: HTTP; the steps
themselves.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from de_stack.failures import Failure
from de_stack.sources.collector.answer import Answer, Result, answer, refuse
from de_stack.sources.collector.body import (
    CONTENT_TYPES,
    CSV,
    EVENT,
    EVENT_BATCH,
    BodyError,
    TooMany,
    media_type,
    read_body,
)
from de_stack.sources.collector.check import Check, Checked
from de_stack.sources.collector.door import Busy, Door
from de_stack.sources.collector.ids import HEADER, BadKey, NewId, key_of, keyed, made
from de_stack.sources.collector.kafka_producer import TooLarge
from de_stack.sources.collector.meters import Meters

if TYPE_CHECKING:
    from de_stack.contracts import Stream

log = logging.getLogger(__name__)
# Items that are checked without a break: some ten milliseconds.
_AT_ONCE = 250


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may ask of us."""

    body_bytes: int = 8 << 20
    items: int = 10_000
    requests: int = 512
    under_way_bytes: int = 64 << 20
    read_seconds: float = 5.0
    request_seconds: float = 9.0
    close_seconds: float = 5.0


@dataclass(frozen=True)
class Entrance:
    """One stream's way in."""

    topic: str
    check: Check
    stream: Stream


@dataclass(frozen=True)
class Receiver:
    """Takes bodies in. `now` and `make_id` are given, so that tests can foresee them."""

    entrances: Mapping[str, Entrance]
    door: Door
    meters: Meters
    limits: Limits
    now: Callable[[], datetime]
    make_id: NewId

    @property
    def streams(self) -> dict[str, Stream]:
        """The contracts, by name."""
        return {name: entrance.stream for name, entrance in self.entrances.items()}

    def refusal(self, stream: str, content_type: str) -> Answer | None:
        """Why a request is refused before its body is read; None if it is not."""
        if unknown := self.unknown(stream):
            return unknown
        # A page of another origin may post without asking, but not with one of these types.
        taken = (*CONTENT_TYPES, CSV) if self.streams[stream].csv_line else CONTENT_TYPES
        if (media := media_type(content_type)) not in taken:
            return refuse(415, "content_type", f"{media!r}: send one of {', '.join(taken)}")
        return None

    def unknown(self, stream: str) -> Answer | None:
        """What is said about a stream that no contract names; None for one that there is."""
        if stream in self.entrances:
            return None
        known = list(self.entrances)
        return refuse(404, "unknown_stream", f"no stream {stream!r}", known=known)

    def count(self, stream: str, found: Answer) -> None:
        """Count a request; a body that is refused as a whole is one reject, whatever was in it."""
        self.meters.answered(found.status)
        is_whole = "id" not in found.body and "code" in found.body
        if is_whole and found.status < 500 and stream in self.entrances:
            self.meters.rejected(self.entrances[stream].topic, found.body["code"])

    async def receive(
        self, stream: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Answer:
        """Check, produce and count what is in a body; the answer comes within `seconds`."""
        clock = asyncio.get_running_loop().time
        media, begun = media_type(headers.get("content-type", "")), clock()
        try:
            key = key_of(headers)
            id_for = made(self.make_id) if key is None else keyed(stream, key)
            items, is_batch = read_body(media, headers, body, id_for, self.limits.items)
        except BadKey as error:
            return refuse(400, "idempotency_key", str(error))
        except BodyError as error:
            return refuse(400, "malformed", str(error))
        except TooMany as error:
            return refuse(413, "too_many", str(error))
        entrance, received = self.entrances[stream], self.now()
        checked: list[Checked] = []
        for number, item in enumerate(items, 1):
            checked.append(entrance.check(item, received))
            if number % _AT_ONCE == 0:
                # Other requests have their turn.
                await asyncio.sleep(0)
        messages = [c.message for c in checked if c.message is not None]
        left = seconds - (clock() - begun)
        sent = iter(await self.door.send(entrance.topic, messages, left))
        results = [
            _result(item.id, c, next(sent) if c.message is not None else None)
            for item, c in zip(items, checked, strict=True)
        ]
        away = [r for r in results if r.status == 503]
        if away:
            told = {"stream": stream, "events": len(away), "reason": away[0].reason}
            log.warning("not accepted now", extra=told)
        for result in results:
            if result.code and result.status != 503:
                self.meters.rejected(entrance.topic, result.code)
        self.meters.kept(entrance.topic, sum(r.kept for r in results))
        # Counted before the client hears of it: whatever was answered with 202 is in the number.
        self.meters.accepted(entrance.topic, sum(r.status == 202 for r in results))
        # Whose the ids are, for a client that relies on its key.
        own = media in (EVENT, EVENT_BATCH) or (not is_batch and "ce-id" in headers)
        ids = None if key is None else "given" if own else HEADER
        return answer(results, is_batch, ids)


def _result(event_id: str, checked: Checked, failure: Failure | None) -> Result:
    refusal = checked.refusal
    if isinstance(failure, TooLarge):
        return Result(event_id, 413, "too_large", None, failure.got)
    if isinstance(failure, Busy):
        return Result(event_id, 503, "busy", None, str(failure))
    if failure is not None:
        # A refused item, too: it is to be a dead letter, and Kafka has not got it.
        return Result(event_id, 503, "kafka_away", None, str(failure))
    if refusal is None:
        return Result(event_id, 202)
    kept = checked.message is not None
    return Result(event_id, refusal.status, refusal.code, refusal.field, refusal.reason, kept)
