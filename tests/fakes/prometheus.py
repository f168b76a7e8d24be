"""A stand-in for Prometheus that answers the questions of the receiver's page, and lies or hangs as told."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from msgspec import Struct, field


class Objective(Struct, frozen=True, kw_only=True):
    """One SLO: the rest of its budget, and the error ratio of the last hour. All of them allow 0.5 %."""

    service: str
    slo: str
    left: float
    ratio: float
    more: dict[str, str] = field(default_factory=dict)


class PrometheusFake(Struct, kw_only=True):
    """Answers well; hangs while `hangs`; gives NaN for every number while `lies`.

    `asked` lists the queries. Those in `refused` are not understood.
    """

    objectives: list[Objective] = field(default_factory=list)
    alerts: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    hangs: bool = False
    lies: bool = False
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    runner: web.AppRunner | None = None

    async def close(self) -> None:
        """Go away: nobody listens any more."""
        self.stopping.set()
        if self.runner is not None:
            await self.runner.cleanup()

    async def query(self, request: web.Request) -> web.Response:
        """An instant query."""
        form = await request.post()
        query = str(form["query"])
        await self._wait(query)
        if query in self.refused:
            return web.json_response({"status": "error", "errorType": "bad_data", "error": "parse error"}, status=400)
        if "vector(1)" in query:
            return _vector([{"metric": {}, "value": [1.0, "1"]}])
        at_s = float(str(form.get("time", "1700000000")))
        return _vector([self._sample(one, query, at_s) for one in self._asked_for(query)])

    async def range(self, request: web.Request) -> web.Response:
        """A range query: a ratio that rises at the end, a budget that falls."""
        form = await request.post()
        query = str(form["query"])
        await self._wait(query)
        start, end, step = (float(str(form[name])) for name in ("start", "end", "step"))
        count = int((end - start) / step)
        found = []
        for one in self._asked_for(query):
            values = [[start + i * step, self._text(_course(query, one, i / count))] for i in range(count + 1)]
            found.append({"metric": {"slo": one.slo}, "values": values})
        return web.json_response({"status": "success", "data": {"resultType": "matrix", "result": found}})

    async def firing(self, _request: web.Request) -> web.Response:
        """Firing alerts."""
        await self._wait("alerts")
        return web.json_response({"status": "success", "data": {"alerts": self.alerts}})

    async def _wait(self, query: str) -> None:
        self.asked.append(query)
        if self.hangs:
            await self.stopping.wait()

    def _asked_for(self, query: str) -> list[Objective]:
        named = [one for one in self.objectives if f'service="{one.service}"' in query]
        return named if 'service="' in query else self.objectives

    def _sample(self, one: Objective, query: str, at_s: float) -> dict[str, Any]:
        labels = {"service": one.service, "slo": one.slo}
        if query == "slo:info":
            about = {"window": "30d", "objective": "99.5", "team": "payments"} | one.more
            return {"metric": {**labels, **about}, "value": [at_s, "1"]}
        value = one.left if "remaining" in query else one.ratio if "ratio" in query else 0.005
        return {"metric": labels, "value": [at_s, self._text(value)]}

    def _text(self, value: float) -> str:
        return "NaN" if self.lies else repr(value)


def _course(query: str, one: Objective, share: float) -> float:
    if "remaining" in query:
        return one.left + (1 - one.left) * math.pow(1 - share, 0.7)
    wave = 0.4 + 0.3 * math.sin(share * 40) + 0.2 * math.sin(share * 97)
    return max(0.0, 0.004 * wave) if share < 0.85 else one.ratio * (0.8 + 0.2 * math.sin(share * 60))


def _vector(found: list[dict[str, Any]]) -> web.Response:
    return web.json_response({"status": "success", "data": {"resultType": "vector", "result": found}})


@asynccontextmanager
async def prometheus(fake: PrometheusFake) -> AsyncIterator[PrometheusFake]:
    """Serve the stand-in on a free loopback port; its `url` is set."""
    app = web.Application()
    app.router.add_post("/api/v1/query", fake.query)
    app.router.add_post("/api/v1/query_range", fake.range)
    app.router.add_get("/api/v1/alerts", fake.firing)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.url, fake.runner = f"http://{host}:{port}", runner
    try:
        yield fake
    finally:
        await fake.close()
