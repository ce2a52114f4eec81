"""The collector's HTTP: routes, limits, deadlines.

Belongs here: from a request to an answer, by way of the other modules. Does not belong here: what
the forms of a body are, what a contract says, how Kafka is reached.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from de_stack.failures import Failure
from de_stack.sources.collector.answer import Answer, Result, answer, refuse
from de_stack.sources.collector.body import (
    CONTENT_TYPES,
    NewId,
    UnreadableError,
    media_type,
    new_id,
    read_body,
)
from de_stack.sources.collector.check import Check, Message, Refusal
from de_stack.sources.collector.door import Budget, Door
from de_stack.sources.collector.kafka_producer import TooLarge
from de_stack.sources.collector.meters import Meters

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

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
    """One stream's way in."""

    topic: str
    check: Check


class Collector:
    """From a request to an answer."""

    def __init__(
        self,
        entrances: Mapping[str, Entrance],
        door: Door,
        budget: Budget,
        meters: Meters,
        limits: Limits,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        make_id: NewId = new_id,
    ) -> None:
        self._entrances, self._door, self._budget = entrances, door, budget
        self._meters, self._limits, self._now, self._make_id = meters, limits, now, make_id

    async def receive(self, request: Request) -> Response:
        """`POST /v1/streams/{stream}`."""
        size = [0]
        try:
            found = await self._receive(request, size)
        finally:
            self._budget.give(size[0])
        self._meters.answered(found.status)
        return _response(found)

    async def _receive(self, request: Request, size: list[int]) -> Answer:
        begun = time.monotonic()
        stream = request.path_params["stream"]
        entrance = self._entrances.get(stream)
        if entrance is None:
            known = list(self._entrances)
            return refuse(404, "unknown_stream", f"no stream {stream!r}", known=known)
        media = media_type(request.headers.get("content-type", ""))
        if media not in CONTENT_TYPES:
            return refuse(415, "content_type", f"{media!r}: send one of {', '.join(CONTENT_TYPES)}")
        body = await self._body(request, size)
        if isinstance(body, Answer):
            return body
        try:
            items, is_batch = read_body(media, request.headers, body, self._make_id)
        except UnreadableError as error:
            return refuse(400, "malformed", str(error))
        if len(items) > self._limits.items:
            return refuse(413, "too_many", f"{len(items)} items, at most {self._limits.items}")
        received = self._now()
        checked = [entrance.check(item, received) for item in items]
        left = self._limits.request_seconds - (time.monotonic() - begun)
        good = [c for c in checked if isinstance(c, Message)]
        sent = iter(await self._door.send(entrance.topic, good, left))
        results = [
            _refused(item.id, c) if isinstance(c, Refusal) else _produced(item.id, next(sent))
            for item, c in zip(items, checked, strict=True)
        ]
        for result in results:
            if result.code and result.status != 503:
                self._meters.rejected(stream, result.code)
        # Counted before the client hears of it: whatever was answered with 202 is in the number.
        self._meters.accepted(stream, sum(r.status == 202 for r in results))
        return answer(results, is_batch)

    async def _body(self, request: Request, size: list[int]) -> bytes | Answer:
        from starlette.requests import ClientDisconnect

        chunks: list[bytes] = []
        try:
            async with asyncio.timeout(self._limits.read_seconds):
                async for chunk in request.stream():
                    if size[0] + len(chunk) > self._limits.body_bytes:
                        return refuse(413, "too_large", f"at most {self._limits.body_bytes} bytes")
                    if not self._budget.take(len(chunk)):
                        return refuse(503, "busy", "too many bytes are under way")
                    size[0] += len(chunk)
                    chunks.append(chunk)
        except TimeoutError:
            return refuse(408, "slow", f"no whole body within {self._limits.read_seconds:g} s")
        except ClientDisconnect:
            return refuse(400, "disconnected", "the client went away")
        return b"".join(chunks)

    async def healthz(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """200 while the broker answers."""
        try:
            await self._door.reach(2.0)
        except Failure as failure:
            return _response(refuse(503, "kafka_away", str(failure)))
        return _response(Answer(200, {"status": "ok"}, {}))

    async def metrics(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """Prometheus text."""
        from starlette.responses import Response

        page, content_type = self._meters.page()
        return Response(page, media_type=content_type)

    def app(self) -> Starlette:
        """The ASGI application; its shutdown closes the door."""
        from starlette.applications import Starlette
        from starlette.routing import Route

        @asynccontextmanager
        async def lifespan(_app: Starlette) -> AsyncIterator[None]:
            yield
            await asyncio.to_thread(self._door.close, self._limits.close_seconds)
            log.info("flushed and closed")

        return Starlette(
            routes=[
                Route("/v1/streams/{stream}", self.receive, methods=["POST"]),
                Route("/healthz", self.healthz),
                Route("/metrics", self.metrics),
            ],
            lifespan=lifespan,
        )


def _refused(event_id: str, refusal: Refusal) -> Result:
    return Result(event_id, refusal.status, refusal.code, refusal.field, refusal.reason)


def _produced(event_id: str, failure: Failure | None) -> Result:
    if failure is None:
        return Result(event_id, 202)
    if isinstance(failure, TooLarge):
        return Result(event_id, 413, "too_large", None, failure.got)
    return Result(event_id, 503, "kafka_away", None, str(failure))


def _response(found: Answer) -> Response:
    import msgspec
    from starlette.responses import Response

    return Response(
        msgspec.json.encode(found.body), found.status, found.headers, "application/json"
    )
