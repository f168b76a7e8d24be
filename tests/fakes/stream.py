"""The receiver's event stream as its contract describes it, with connections that can be cut."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

from aiohttp import web
from msgspec import Struct, field

TOKEN = "read-token-for-tests"


class StreamFake(Struct, kw_only=True):
    """One running stream. `asked` are the Last-Event-ID headers seen; `refuse` answers that status instead."""

    url: str = ""
    events: list[tuple[int, str, Any]] = field(default_factory=list)
    asked: list[str | None] = field(default_factory=list)
    tokens: list[str] = field(default_factory=list)
    held_from: int = 0
    refuse: list[tuple[int, dict[str, str]]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    cuts: int = 0
    stopped: bool = False

    def add(self, seq: int, name: str, data: Any) -> None:
        """Put an event on the stream."""
        self.events.append((seq, name, data))
        self.changed.set()

    def notice(self, seq: int, at: datetime, **fields: str) -> None:
        """Put a notice on the stream."""
        data = {
            "seq": seq,
            "at": at.isoformat(),
            "episode": "01HX",
            "service": "gateway",
            "severity": "critical",
            "event": "frozen",
            "title": f"notice {seq}",
            "text": "failure rate 2.31 % > 0.5 %",
            "url": "",
        }
        self.add(seq, "notice", data | fields)

    def cut(self) -> None:
        """Break every open connection."""
        self.cuts += 1
        self.changed.set()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Serve one connection."""
        self.asked.append(request.headers.get("Last-Event-ID"))
        self.tokens.append(request.headers.get("Authorization", "").removeprefix("Bearer "))
        if self.refuse:
            status, headers = self.refuse.pop(0)
            return web.Response(status=status, headers=headers)
        if self.tokens[-1] != TOKEN:
            return web.Response(status=401)
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        await self._serve(response, self.asked[-1])
        return response

    async def _serve(self, response: web.StreamResponse, last: str | None) -> None:
        head = max((seq for seq, _, _ in self.events), default=0)
        position = head if last is None else int(last)
        if position < self.held_from:
            position = head
            await response.write(f"id: {head}\nevent: reset\ndata: {{}}\n\n".encode())
        cuts = self.cuts
        while cuts == self.cuts and not self.stopped:
            self.changed.clear()
            for seq, name, data in [one for one in self.events if one[0] > position]:
                await response.write(f"id: {seq}\nevent: {name}\ndata: {json.dumps(data)}\n\n".encode())
                position = seq
            await self.changed.wait()


@asynccontextmanager
async def running_stream(fake: StreamFake) -> AsyncIterator[StreamFake]:
    """Serve the stream on a free loopback port; its `url` is set."""
    app = web.Application()
    app.router.add_get("/api/v1/events", fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    fake.url = f"http://{host}:{port}"
    try:
        yield fake
    finally:
        fake.stopped = True
        fake.changed.set()
        await runner.cleanup()
