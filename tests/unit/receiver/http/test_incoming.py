"""Bodies: what a sender that stops in the middle gets."""

import asyncio

from aiohttp import web
from aiohttp.test_utils import TestServer

from receiver.http.incoming import RefusedError, body_of

LIMIT_S = 0.05
HEAD = b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 10\r\n\r\n"


async def refused(request: web.Request) -> web.Response:
    """Read the body, and answer with the refusal."""
    try:
        return web.Response(body=await body_of(request, limit_s=LIMIT_S))
    except RefusedError as error:
        return web.Response(status=error.status, text=str(error))


async def answer(sent: bytes) -> bytes:
    """All that comes back to a sender that never closes."""
    app = web.Application()
    app.router.add_post("/", refused)
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        writer.write(sent)
        found = await reader.readuntil(b"\r\n\r\n")
        writer.close()
        await writer.wait_closed()
        return found


async def test_a_body_that_stops_in_the_middle_is_refused_and_may_come_again() -> None:
    """503 makes Alertmanager send the webhook again; a whole body gets 200."""
    assert (await answer(HEAD + b"12345")).startswith(b"HTTP/1.1 503 ")
    assert (await answer(HEAD + b"1234567890")).startswith(b"HTTP/1.1 200 ")
