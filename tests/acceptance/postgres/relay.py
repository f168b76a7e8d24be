"""A relay between Alertmanagers and receivers that keeps what each receiver answered.

A receiver has a new port after each start. The relay has one URL for each receiver, and passes a webhook on as it came.
If no receiver answers, the relay breaks the connection, as a host without the receiver would.
"""

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import aiohttp
from aiohttp import web
from msgspec import Struct, field

from tests.acceptance.postgres.hosts import Hosts
from tests.acceptance.receiver.harness import Receiver

PASSED_ON = ("Authorization", "Content-Type", "User-Agent")


class Relay(Struct, kw_only=True):
    """`statuses` counts the answers of receivers; a 200 is noted with the body, also if nobody hears of it any more.

    `up` are the receivers that run, by number.
    """

    hosts: Hosts
    http: aiohttp.ClientSession
    up: Mapping[int, Receiver] = field(default_factory=dict)
    url: str = ""
    statuses: Counter[int] = field(default_factory=Counter)
    broken: int = 0

    def urls(self) -> list[str]:
        """Where each receiver takes webhooks."""
        return [f"{self.url}/{number}" for number in range(len(self.hosts.sites))]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Pass one webhook on, and its answer back."""
        body = await request.read()
        try:
            status, text = await self._ask(int(request.match_info["number"]), request, body)
        except (aiohttp.ClientError, OSError, TimeoutError):
            self.broken += 1
            if request.transport is not None:
                request.transport.abort()
            raise
        self.statuses[status] += 1
        return web.Response(status=status, text=text)

    async def _ask(self, number: int, request: web.Request, body: bytes) -> tuple[int, str]:
        receiver = self.up.get(number)
        if receiver is None:
            raise ConnectionRefusedError
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        async with self.http.post(f"{receiver.url}/webhook", data=body, headers=headers) as answer:
            if answer.status == 200:
                self.hosts.acknowledged.add(hashlib.sha256(body).hexdigest())
            return answer.status, await answer.text()


@asynccontextmanager
async def relayed(hosts: Hosts) -> AsyncIterator[Relay]:
    """Serve a relay on a free port of loopback."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as http:
        relay = Relay(hosts=hosts, http=http)
        app = web.Application(client_max_size=2**24)
        app.router.add_post("/{number}", relay.handle)
        runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        relay.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        try:
            yield relay
        finally:
            await runner.cleanup()
