"""The routes, the metrics that slos/day0-launch.yaml names, and the faults of a version."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from enum import StrEnum

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest

from examples.workload.generation.chain import Chain, Piece
from examples.workload.generation.flags import HEADER, Flags
from examples.workload.tracing import Tracing, identify

EDGES_S = (0.025, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.0, 5.0)
SLOW_S = 1.2
FLAP_S = 15.0
FAILS_EVERY = 10
REFUSES_EVERY = 4


class Fault(StrEnum):
    """What is wrong with a version; `SCRIPTS_FAULT` chooses."""

    NONE = "none"
    SLOW_FIRST_EVENT = "slow-first-event"
    ERRORS = "errors"
    """Every tenth request fails with status 500."""
    REFUSES = "refuses"
    """Every fourth connection is closed before the first event."""
    FLAPS = "flaps"
    """Ready and not ready by turns, each for 15 seconds."""


class Ask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The body of `POST /api/v1/scripts`."""

    topic: str


class Scripts:
    """One version."""

    def __init__(self, *, version: str, chain: Chain, flags: Flags, fault: Fault) -> None:
        self._version = version
        self._chain = chain
        self._flags = flags
        self._fault = fault
        self._numbers = itertools.count(1)
        self._begun = time.monotonic()
        self._tracing = Tracing("script-generation")
        self.registry = registry = CollectorRegistry()
        requests = Counter("http_requests", "Requests by status.", ["code", "version"], registry=registry)
        self._requests = {code: requests.labels(str(code), version) for code in (200, 422, 500)}
        connects = Counter("sse_connect", "Streams by outcome.", ["outcome", "version"], registry=registry)
        self._connects = {outcome: connects.labels(outcome, version) for outcome in ("ok", "failed")}
        self._first = Histogram(
            "sse_time_to_first_event_seconds",
            "Time to the first event of a stream.",
            ["version"],
            buckets=EDGES_S,
            registry=registry,
        ).labels(version)

    def app(self) -> web.Application:
        """The application."""
        made = web.Application(middlewares=[self._tracing.around])
        made.on_response_prepare.append(identify)
        made.add_routes(
            [
                web.post("/api/v1/scripts", self._script),
                web.get("/health", self._health),
                web.get("/ready", self._ready),
                web.get("/metrics", self._metrics),
            ]
        )
        return made

    async def _script(self, request: web.Request) -> web.StreamResponse:
        begun, number = time.monotonic(), next(self._numbers)
        try:
            asked = msgspec.json.decode(await request.read(), type=Ask)
        except msgspec.MsgspecError as error:
            self._requests[422].inc()
            return web.json_response({"error": str(error)}, status=422)
        if self._fault is Fault.ERRORS and number % FAILS_EVERY == 0:
            self._requests[500].inc()
            return web.json_response({"error": "this version fails on purpose"}, status=500)
        if self._fault is Fault.REFUSES and number % REFUSES_EVERY == 0:
            self._connects["failed"].inc()
            if request.transport is not None:
                request.transport.close()
            return web.Response(status=500)
        fallback = self._flags.fallback(request.headers.get(HEADER, ""))
        stream = web.StreamResponse(
            headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache", "X-Version": self._version}
        )
        if self._fault is Fault.SLOW_FIRST_EVENT:
            await asyncio.sleep(SLOW_S)
        pieces = self._chain.answer(f"Write a script about {asked.topic}.", [asked.topic], fallback=fallback)
        try:
            await stream.prepare(request)
            await self._send(stream, pieces, begun)
        except ConnectionError:
            self._connects["failed"].inc()
            return stream
        self._requests[200].inc()
        self._connects["ok"].inc()
        return stream

    async def _send(self, stream: web.StreamResponse, pieces: AsyncIterator[Piece], begun: float) -> None:
        """Every word is an event; `provider` says that a provider begins anew. Raises ConnectionError."""
        first = True
        async for piece in pieces:
            if piece.begins:
                await stream.write(f"event: provider\ndata: {piece.provider}\n\n".encode())
                continue
            await stream.write(b"event: token\ndata: " + msgspec.json.encode(piece.text) + b"\n\n")
            if first:
                self._first.observe(time.monotonic() - begun)
                first = False
        await stream.write(b"event: done\ndata: {}\n\n")
        await stream.write_eof()

    async def _health(self, _request: web.Request) -> web.StreamResponse:
        return web.json_response({"status": "healthy", "version": self._version})

    async def _ready(self, _request: web.Request) -> web.StreamResponse:
        away = self._fault is Fault.FLAPS and int((time.monotonic() - self._begun) / FLAP_S) % 2 == 1
        return web.json_response({"ready": not away}, status=503 if away else 200)

    async def _metrics(self, _request: web.Request) -> web.StreamResponse:
        body = generate_latest(self.registry)
        return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4"})
