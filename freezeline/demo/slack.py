"""A stand-in for Slack's incoming webhooks: an HTTP server that keeps the messages."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from json import JSONDecodeError

from aiohttp import web

PATH = "/services/T00000000/B00000000/demo"


@asynccontextmanager
async def slack(told: Callable[[str], None]) -> AsyncIterator[str]:
    """A running stand-in with the URL of its webhook. `told` gets the headline of every message."""

    async def message(request: web.Request) -> web.Response:
        try:
            body = await request.json()
        except JSONDecodeError:
            return web.Response(status=400, text="invalid_payload")
        if not isinstance(body, dict) or not body.get("text"):
            return web.Response(status=400, text="no_text")
        heads = [block["text"]["text"] for block in body.get("blocks", []) if block.get("type") == "header"]
        told(str(heads[0] if heads else body["text"]))
        return web.Response(text="ok")

    app = web.Application()
    app.router.add_post(PATH, message)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}{PATH}"
    finally:
        await runner.cleanup()
