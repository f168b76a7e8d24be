"""Clients that hold connections, and servers that answer nonsense: the receiver goes on, and freezes."""

import asyncio
import contextlib
import itertools
import json
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from receiver.http import connections
from receiver.http.incoming import BODY_LIMIT_S
from tests.acceptance.receiver.harness import Receiver, Site, body, receiver
from tests.acceptance.receiver.test_kill_points import final
from tests.disks import public_directory
from tests.waiting import until

pytestmark = pytest.mark.acceptance

DEADLINE_S = 30.0
FIRING = body("0.34.2", "firing")
HALF_OPEN = 1100
_HEAD = b"POST /webhook HTTP/1.1\r\nHost: 127.0.0.1\r\n"
HALVES = (b"", _HEAD, _HEAD + b"Content-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
DESCRIPTORS = 1024


@pytest.fixture
def site() -> Iterator[Site]:
    """A site whose flag other users can see."""
    with public_directory() as root:
        yield Site(root=root)


def half_open(server: Receiver, sent: bytes) -> socket.socket:
    """A connection that has sent no whole request."""
    host, _, port = server.url.removeprefix("http://").rpartition(":")
    connection = socket.create_connection((host, int(port)), timeout=10)
    connection.sendall(sent)
    return connection


@contextlib.contextmanager
def many_descriptors() -> Iterator[None]:
    """This process may hold all the connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def is_closed(connection: socket.socket) -> bool:
    """Whether the other side has closed a connection."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


async def test_half_open_connections_keep_nobody_from_freezing(site: Site) -> None:
    """Eleven hundred of them at a limit of 1,024 descriptors; the log is short, and the last one is closed in time."""
    async with receiver(site) as server:
        resource.prlimit(server.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
        with many_descriptors(), contextlib.ExitStack() as stack:
            kinds = itertools.islice(itertools.cycle(HALVES), HALF_OPEN)
            held = [stack.enter_context(half_open(server, sent)) for sent in kinds]
            assert await server.post(FIRING) == 200
            await until(lambda: final(site), DEADLINE_S, "flag, rollback and notices")
            assert site.flag.exists()
            assert site.lines("rollbacks") == ["v2"]
            assert (await server.get("/health"))["status"] == "ok"
            still_open = sum(not is_closed(connection) for connection in held)
            assert still_open <= connections.CONNECTIONS_MAX
            in_time = max(connections.HEADER_LIMIT_S, BODY_LIMIT_S) + 20
            await until(lambda: all(map(is_closed, held[-5:])), in_time, "a request that never comes is not waited for")
        assert server.log.stat().st_size < 200_000  # a line for each begun request


@contextlib.asynccontextmanager
async def alertmanager(answers: dict[str, Any]) -> AsyncIterator[str]:
    """A server that says what it is told to say; gives its URL."""

    async def handle(request: web.Request) -> web.Response:
        return web.Response(body=answers[request.path])

    app = web.Application()
    app.router.add_route("*", "/{rest:.*}", handle)
    async with TestServer(app) as server:
        yield str(server.make_url("")).rstrip("/")


NONSENSE = {
    "the last day of all": json.dumps(
        [
            {
                "fingerprint": "b42cef305cefc9ab",
                "labels": {"alertname": "FailureRateHigh", "service": "gateway"},
                "annotations": {},
                "startsAt": "9999-12-31T23:59:59-05:00",
                "status": {"state": "active"},
                "receivers": [{"name": "freezeline"}],
            }
        ]
    ).encode(),
    "deep": b"[" * 200_000,
}


@pytest.mark.parametrize("alerts", sorted(NONSENSE))
async def test_nonsense_of_alertmanager_does_not_end_the_reconciler(site: Site, alerts: str) -> None:
    """A flag that somebody removes comes back, an episode ends in time, and SIGTERM ends the receiver well."""
    status = json.dumps({"uptime": "2026-01-01T00:00:00Z"}).encode()
    answers = {"/api/v2/status": status, "/api/v2/alerts": NONSENSE[alerts]}
    async with alertmanager(answers) as url:
        site.settings |= {"alertmanagers": [url], "reconcile_every_s": 1, "alertmanager_settle_s": 0}
        site.write()
        async with receiver(site) as server:
            assert await server.post(FIRING) == 200
            await until(lambda: final(site), DEADLINE_S, "everything is over")
            for _ in range(2):
                site.flag.unlink()
                await until(site.flag.exists, DEADLINE_S, "the flag comes back")
                await asyncio.sleep(0)
            assert (await server.get("/health"))["components"]["loops"] == "ok"
            answers["/api/v2/alerts"] = b"[]"
            assert await server.post(body("0.34.2", "resolved")) == 200
            await until(lambda: not site.flag.exists(), DEADLINE_S, "unfrozen by time")
            assert await server.stop() == 0
