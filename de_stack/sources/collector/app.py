"""The collector's HTTP: routes, reading a body within limits, health and metrics.

Belongs here: Starlette. Does not belong here: what is done with a body (`receive.py`).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from de_stack.contracts.schemas import json_schema
from de_stack.failures import Failure
from de_stack.sources.collector import pages
from de_stack.sources.collector.answer import Answer, refuse
from de_stack.sources.collector.openapi import document
from de_stack.sources.collector.receive import Receiver
from de_stack.sources.collector.under_way import Budget

log = logging.getLogger(__name__)


def make_app(receiver: Receiver, budget: Budget) -> Starlette:
    """The ASGI application; its shutdown closes the door."""
    handlers = _Handlers(receiver, budget)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(receiver.door.close, receiver.limits.close_seconds)
        log.info("flushed and closed")

    return Starlette(
        routes=[
            Route("/v1/streams/{stream}", handlers.stream, methods=["GET", "POST"]),
            Route("/healthz", handlers.healthz),
            Route("/metrics", handlers.metrics),
            *pages.routes(handlers.description),
        ],
        lifespan=lifespan,
        exception_handlers={HTTPException: _refused_by_starlette},
    )


class _Handlers:
    def __init__(self, receiver: Receiver, budget: Budget) -> None:
        self._receiver, self._budget, self._limits = receiver, budget, receiver.limits
        self._open = 0

    async def stream(self, request: Request) -> Response:
        """`/v1/streams/{stream}`: POST sends events in, GET tells what they look like."""
        return await self._events(request) if request.method == "POST" else self._schema(request)

    def _schema(self, request: Request) -> Response:
        stream = request.path_params["stream"]
        if unknown := self._receiver.unknown(stream):
            return _response(unknown)
        body = msgspec.json.encode(json_schema(self._receiver.entrances[stream].stream))
        return Response(body, media_type="application/schema+json")

    async def _events(self, request: Request) -> Response:
        if self._open >= self._limits.requests:
            found = refuse(503, "busy", f"{self._open} requests are open")
            self._receiver.meters.answered(found.status)
            return _response(found)
        self._open += 1
        try:
            return await self._event_body(request)
        finally:
            self._open -= 1

    async def _event_body(self, request: Request) -> Response:
        begun, chunks = time.monotonic(), []
        stream = request.path_params["stream"]
        content_type = request.headers.get("content-type", "")
        try:
            found = self._receiver.refusal(stream, content_type) or await self._read(
                request, chunks
            )
            if found is None:
                left = self._limits.request_seconds - (time.monotonic() - begun)
                body = b"".join(chunks)
                found = await self._receiver.receive(stream, request.headers, body, left)
        finally:
            self._budget.give(sum(len(c) for c in chunks))
        self._receiver.count(stream, found)
        return _response(found)

    async def _read(self, request: Request, chunks: list[bytes]) -> Answer | None:
        """Read the body into `chunks`, each taken from the budget; an answer if that fails."""
        size, limits = 0, self._limits
        try:
            async with asyncio.timeout(limits.read_seconds):
                async for chunk in request.stream():
                    size += len(chunk)
                    if size > limits.body_bytes:
                        return refuse(413, "too_large", f"at most {limits.body_bytes} bytes")
                    if not self._budget.take(len(chunk)):
                        return refuse(503, "busy", "too many bytes are under way")
                    chunks.append(chunk)
        except TimeoutError:
            return refuse(408, "slow", f"no whole body within {limits.read_seconds:g} s")
        except ClientDisconnect:
            return refuse(400, "disconnected", "the client went away")
        return None

    async def healthz(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """200 while the broker answers."""
        try:
            await self._receiver.door.reach(2.0)
        except Failure as failure:
            return _response(refuse(503, "kafka_away", str(failure)))
        return _response(Answer(200, {"status": "ok"}, {}))

    def description(self) -> dict[str, Any]:
        """OpenAPI: what each stream takes and what is answered."""
        receiver = self._receiver
        return document(receiver.streams, receiver.limits, receiver.now())

    async def metrics(self, request: Request) -> Response:  # noqa: ARG002 - Starlette's signature
        """Prometheus text."""
        page, content_type = self._receiver.meters.page()
        return Response(page, media_type=content_type)


async def _refused_by_starlette(_request: Request, error: Exception) -> Response:
    """An unknown path or method, in the form of all our answers."""
    assert isinstance(error, HTTPException)  # noqa: S101 - it is registered for these only
    found = refuse(error.status_code, "no_such_way", error.detail)
    body = msgspec.json.encode(found.body)
    return Response(body, found.status, error.headers, "application/json")


def _response(found: Answer) -> Response:
    body = msgspec.json.encode(found.body)
    return Response(body, found.status, found.headers, "application/json")
