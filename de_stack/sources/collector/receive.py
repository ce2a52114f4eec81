"""From what a request carries to what became of it.

Belongs here: the order of the steps, for one stream's body. Does not belong here: HTTP; the steps
themselves.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from de_stack.failures import Failure
from de_stack.sources.collector.answer import Answer, Result, answer, refuse
from de_stack.sources.collector.body import CONTENT_TYPES, BodyError, NewId, media_type, read_body
from de_stack.sources.collector.check import Check, Message, Refusal
from de_stack.sources.collector.door import Door
from de_stack.sources.collector.kafka_producer import TooLarge
from de_stack.sources.collector.meters import Meters

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What one request, and all of them together, may ask of us."""

    body_bytes: int = 8 << 20
    items: int = 10_000
    under_way_bytes: int = 64 << 20
    read_seconds: float = 5.0
    request_seconds: float = 9.0
    close_seconds: float = 5.0


@dataclass(frozen=True)
class Entrance:
    """One stream's way in, and what its messages look like (JSON Schema)."""

    topic: str
    check: Check
    schema: Mapping[str, Any]


@dataclass(frozen=True)
class Receiver:
    """Takes bodies in. `now` and `make_id` are given, so that tests can foresee them."""

    entrances: Mapping[str, Entrance]
    door: Door
    meters: Meters
    limits: Limits
    now: Callable[[], datetime]
    make_id: NewId

    def refusal(self, stream: str, content_type: str) -> Answer | None:
        """Why a request is refused before its body is read; None if it is not."""
        if unknown := self.unknown(stream):
            return unknown
        # A page of another origin may post without asking, but not with one of these types.
        if (media := media_type(content_type)) not in CONTENT_TYPES:
            return refuse(415, "content_type", f"{media!r}: send one of {', '.join(CONTENT_TYPES)}")
        return None

    def unknown(self, stream: str) -> Answer | None:
        """What is said about a stream that no contract names; None for one that there is."""
        if stream in self.entrances:
            return None
        known = list(self.entrances)
        return refuse(404, "unknown_stream", f"no stream {stream!r}", known=known)

    async def receive(
        self, stream: str, headers: Mapping[str, str], body: bytes, seconds: float
    ) -> Answer:
        """Check, produce and count what is in a body; the answer comes within `seconds`."""
        media = media_type(headers.get("content-type", ""))
        try:
            items, is_batch = read_body(media, headers, body, self.make_id)
        except BodyError as error:
            return refuse(400, "malformed", str(error))
        if len(items) > self.limits.items:
            return refuse(413, "too_many", f"{len(items)} items, at most {self.limits.items}")
        entrance, received = self.entrances[stream], self.now()
        checked = [entrance.check(item, received) for item in items]
        good = [c for c in checked if isinstance(c, Message)]
        sent = iter(await self.door.send(entrance.topic, good, seconds))
        results = [
            _refused(item.id, c) if isinstance(c, Refusal) else _produced(item.id, next(sent))
            for item, c in zip(items, checked, strict=True)
        ]
        away = [r for r in results if r.status == 503]
        if away:
            told = {"stream": stream, "events": len(away), "reason": away[0].reason}
            log.warning("not accepted now", extra=told)
        for result in results:
            if result.code and result.status != 503:
                self.meters.rejected(entrance.topic, result.code)
        # Counted before the client hears of it: whatever was answered with 202 is in the number.
        self.meters.accepted(entrance.topic, sum(r.status == 202 for r in results))
        return answer(results, is_batch)


def _refused(event_id: str, refusal: Refusal) -> Result:
    return Result(event_id, refusal.status, refusal.code, refusal.field, refusal.reason)


def _produced(event_id: str, failure: Failure | None) -> Result:
    if failure is None:
        return Result(event_id, 202)
    if isinstance(failure, TooLarge):
        return Result(event_id, 413, "too_large", None, failure.got)
    return Result(event_id, 503, "kafka_away", None, str(failure))
