"""Stands between a service and one of its providers: passes requests on, or injects a fault.

The service must be told the stand-in's address instead of the provider's. Without a fault, every byte passes.
"""

from __future__ import annotations

import asyncio
from enum import StrEnum

import aiohttp
from aiohttp import web
from msgspec import Struct

SLOW_S = 60.0
RETRY_AFTER_S = 30
PIECE_BYTES = 4096
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "transfer-encoding", "te", "trailer", "upgrade", "host", "content-length"}
)


class Fault(StrEnum):
    """What a provider does."""

    DEAD = "dead"
    SLOW = "slow"
    RATE_LIMITED = "rate-limited"
    ERROR = "error"
    CUT = "cut"
    GARBLED = "garbled"


ABOUT = {
    Fault.DEAD: "closes each connection without an answer",
    Fault.SLOW: f"answers only after {SLOW_S:g} s",
    Fault.RATE_LIMITED: f"answers 429 with `Retry-After: {RETRY_AFTER_S}`",
    Fault.ERROR: "answers 500",
    Fault.CUT: "begins its answer, and closes the connection in the middle",
    Fault.GARBLED: "answers 200 with half of a JSON object",
}


class Provider(Struct, frozen=True, kw_only=True):
    """One provider of the chain: its name, where the stand-in listens, and where requests go."""

    name: str
    port: int
    url: str


class StandIn:
    """The stand-in of one provider. `fault` is None for a provider that works. `requests` counts requests."""

    def __init__(self, provider: Provider, http: aiohttp.ClientSession) -> None:
        self.provider = provider
        self.fault: Fault | None = None
        self.requests = 0
        self._http = http
        app = web.Application(client_max_size=64 * 1024 * 1024)
        app.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)

    async def start(self) -> None:
        """Listen on the loopback. Raises OSError if the port is taken."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.provider.port).start()

    async def stop(self) -> None:
        """Close every connection."""
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        self.requests += 1
        if self.fault is Fault.DEAD:
            return _closed(request)
        if self.fault is Fault.SLOW:
            await asyncio.sleep(SLOW_S)
        if self.fault is Fault.RATE_LIMITED:
            return web.json_response({"error": "rate limited"}, status=429, headers={"Retry-After": str(RETRY_AFTER_S)})
        if self.fault is Fault.ERROR:
            return web.json_response({"error": "internal error"}, status=500)
        if self.fault is Fault.GARBLED:
            return web.Response(text='{"choices": [{"mess', content_type="application/json")
        return await self._passed_on(request)

    async def _passed_on(self, request: web.Request) -> web.StreamResponse:
        headers = {name: value for name, value in request.headers.items() if name.lower() not in HOP_BY_HOP}
        try:
            async with self._http.request(
                request.method,
                f"{self.provider.url}{request.rel_url}",
                headers=headers,
                data=await request.read(),
                allow_redirects=False,
                auto_decompress=False,
            ) as answer:
                kept = {name: value for name, value in answer.headers.items() if name.lower() not in HOP_BY_HOP}
                passed = web.StreamResponse(status=answer.status, headers=kept)
                await passed.prepare(request)
                async for piece in answer.content.iter_chunked(PIECE_BYTES):
                    if self.fault is Fault.CUT:
                        await passed.write(piece[: max(1, len(piece) // 2)])
                        return _closed(request, passed)
                    await passed.write(piece)
                await passed.write_eof()
                return passed
        except aiohttp.ClientError:
            return _closed(request)


def _closed(request: web.Request, answer: web.StreamResponse | None = None) -> web.StreamResponse:
    """Drop the connection, whatever was answered so far."""
    if request.transport is not None:
        request.transport.abort()
    return answer if answer is not None else web.Response(status=502)
