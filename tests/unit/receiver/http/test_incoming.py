"""Bodies: what a sender that stops in the middle gets, and what a packed body holds."""

import asyncio
import gzip

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from receiver.http.incoming import BODY_MAX_BYTES, RefusedError, body_of

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


@pytest.mark.parametrize("size", [0, 10, 100_000, 5_000_000, 20_000_000])
async def test_a_packed_body_is_unpacked_as_a_whole_or_refused(size: int) -> None:
    """Its few packed bytes all come with the headers; a small body is taken at once, a large one in pieces."""
    lengths: list[int] = []

    async def measure(request: web.Request) -> web.Response:
        try:
            lengths.append(len(await body_of(request)))
        except RefusedError as error:
            return web.Response(status=error.status)
        return web.Response()

    app = web.Application(client_max_size=BODY_MAX_BYTES)
    app.router.add_post("/", measure)
    async with TestServer(app) as server:
        reader, writer = await asyncio.open_connection(server.host, server.port)
        packed = gzip.compress(b"0" * size)
        writer.write(b"POST / HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Encoding: gzip\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n" % len(packed) + packed)
        status = (await reader.readline()).split()[1]
        writer.close()
        await writer.wait_closed()
    assert (status, lengths) == ((b"413", []) if size > BODY_MAX_BYTES else (b"200", [size]))
