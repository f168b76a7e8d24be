"""Bytes that are nearly HTTP, by name and at random: never a 5xx but 503, no traceback, and the receiver goes on."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.acceptance.input.logs import said_in_error
from tests.acceptance.input.raw import DEEP, DIGITS, NOT_UTF8, Request, random_request, sent
from tests.acceptance.input.test_openapi import DOCUMENT, session_of
from tests.acceptance.receiver.harness import Receiver, Site, body, receiver

pytestmark = [pytest.mark.acceptance]

AT_ONCE = 16

Headers = list[tuple[bytes, bytes]]


def bearer(server: Receiver, role: str) -> Headers:
    """The header with a token."""
    return [(b"Authorization", b"Bearer " + server.site.token(role).encode())]


def page(cookie: bytes) -> Headers:
    """The headers of a form from the page."""
    return [(b"Cookie", b"freezeline=" + cookie), (b"Content-Type", b"application/x-www-form-urlencoded")]


OTHER: Headers = [(b"Host", b"elsewhere.example.org")]
"""A host under whose name the receiver does not answer: whatever no route matches is looked at too."""

NAMED: dict[str, tuple[int, Callable[[Receiver], Request]]] = {
    "Authorization that is not UTF-8": (
        401,
        lambda _server: Request(path=b"/metrics", headers=[(b"Authorization", b"Bearer " + NOT_UTF8)]),
    ),
    "a cookie that is not UTF-8": (
        401,
        lambda _server: Request(
            path=b"/page/system?part=main", headers=[(b"Cookie", b"freezeline=" + NOT_UTF8 + b".x")]
        ),
    ),
    "a signature that is not UTF-8": (
        401,
        lambda _server: Request(path=b"/page/system?part=main", headers=[(b"Cookie", b"freezeline=x." + NOT_UTF8)]),
    ),
    "an Origin that is no address": (403, lambda _server: Request(headers=[(b"Origin", b"http://[")])),
    "a target that is no address": (400, lambda _server: Request(path=b"http://[")),
    "a number beyond the journal's": (
        422,
        lambda server: Request(path=b"/api/v1/decisions?after=9223372036854775808", headers=bearer(server, "read")),
    ),
    "a number of thousands of digits": (
        422,
        lambda server: Request(path=b"/api/v1/decisions?after=" + DIGITS, headers=bearer(server, "read")),
    ),
    "a Last-Event-ID of thousands of digits": (
        200,
        lambda server: Request(path=b"/api/v1/events", headers=[*bearer(server, "read"), (b"Last-Event-ID", DIGITS)]),
    ),
    "an `after` of the stream beyond the journal's numbers": (
        200,
        lambda server: Request(path=b"/api/v1/events?after=9223372036854775808", headers=bearer(server, "read")),
    ),
    "deeply nested JSON for an operation": (
        422,
        lambda server: Request(method=b"POST", path=b"/api/v1/freeze", headers=bearer(server, "operate"), body=DEEP),
    ),
    "deeply nested JSON as a webhook": (
        422,
        lambda server: Request(method=b"POST", path=b"/webhook", headers=bearer(server, "webhook"), body=DEEP),
    ),
    "a version that is nested as deep as JSON may be": (
        422,
        lambda server: Request(
            method=b"POST",
            path=b"/webhook",
            headers=bearer(server, "webhook"),
            body=b'{"version": ' + b"[" * 950 + b"]" * 950 + b', "alerts": []}',
        ),
    ),
    "broken gzip as a webhook": (
        400,
        lambda server: Request(
            method=b"POST",
            path=b"/webhook",
            headers=[*bearer(server, "webhook"), (b"Content-Encoding", b"gzip")],
            body=b"\x1f\x8bnonsense and more nonsense",
        ),
    ),
    "broken gzip for an operation": (
        400,
        lambda server: Request(
            method=b"POST",
            path=b"/api/v1/ack",
            headers=[*bearer(server, "operate"), (b"Content-Encoding", b"gzip")],
            body=b"\x1f\x8bnonsense and more nonsense",
        ),
    ),
    "broken gzip as a form": (
        400,
        lambda _server: Request(
            method=b"POST",
            path=b"/page/login",
            headers=[*page(b""), (b"Content-Encoding", b"gzip")],
            body=b"\x1f\x8bnonsense and more nonsense",
        ),
    ),
    "a form in an unknown charset": (
        401,
        lambda _server: Request(
            method=b"POST",
            path=b"/page/login",
            headers=[(b"Content-Type", b"application/x-www-form-urlencoded; charset=nonsense")],
            body=b"token=x",
        ),
    ),
    "a token of lone surrogates in a form": (
        401,
        lambda _server: Request(
            method=b"POST", path=b"/page/login", headers=page(b""), body=b"token=%ED%A0%80&name=%FF"
        ),
    ),
    "a path that does not exist": (404, lambda _server: Request(path=b"/nowhere")),
    "the target of no route, for another host": (
        421,
        lambda _server: Request(method=b"OPTIONS", path=b"*", headers=OTHER),
    ),
    "a tunnel, for another host": (421, lambda _server: Request(method=b"CONNECT", path=b"127.0.0.1:1", headers=OTHER)),
    "a line break in a path, for another host": (421, lambda _server: Request(path=b"/a%0Ab", headers=OTHER)),
    "a method that does not exist": (405, lambda _server: Request(method=b"PUT")),
    "an expectation that nobody can meet": (417, lambda _server: Request(headers=[(b"Expect", b"miracles")])),
    "an expectation that is not UTF-8": (417, lambda _server: Request(headers=[(b"Expect", NOT_UTF8)])),
    "an expectation of a path that does not exist": (
        417,
        lambda _server: Request(path=b"/nowhere", headers=[(b"Expect", NOT_UTF8)]),
    ),
}


@pytest.fixture
def paths() -> list[bytes]:
    """Every path of the document."""
    return [path.encode() for path in yaml.safe_load(DOCUMENT.read_text("utf-8"))["paths"]]


async def test_requests_that_once_were_answered_with_500(tmp_path: Path) -> None:
    """Each gets the status that says whose fault it is, and none of them leaves a traceback."""
    async with receiver(Site(root=tmp_path)) as server:
        port = urlsplit(server.url).port or 0
        found = {name: await sent(port, make(server).encoded()) for name, (_, make) in NAMED.items()}
        assert found == {name: status for name, (status, _) in NAMED.items()}
        assert said_in_error(server.log) == []


@pytest.mark.parametrize(
    "requests,seed",
    [
        (1500, 14),
        pytest.param(200_000, random.randrange(2**32), marks=[pytest.mark.soak, pytest.mark.timeout(7200)]),
    ],
)
async def test_random_requests(requests: int, seed: int, paths: list[bytes], tmp_path: Path) -> None:
    """Headers, bodies and targets at random from a seed, a few at a time."""
    draw = random.Random(seed)
    async with receiver(Site(root=tmp_path)) as server:
        port = urlsplit(server.url).port or 0
        tokens = [server.site.token(role).encode() for role in ("webhook", "read", "operate")]
        cookie = (await session_of(server)).encode()
        bad: list[tuple[int, bytes]] = []
        tally: dict[int, int] = {}

        async def follow(made: list[bytes]) -> None:
            for request in made:
                status = await sent(port, request)
                tally[status] = tally.get(status, 0) + 1
                if status >= 500 and status != 503:
                    bad.append((status, request[:400]))

        made = [random_request(draw, paths, tokens, cookie) for _ in range(requests)]
        await asyncio.gather(*(follow(made[number::AT_ONCE]) for number in range(AT_ONCE)))
        assert bad == [], seed
        assert said_in_error(server.log) == [], seed
        assert {200, 202, 400, 404, 405, 422} <= set(tally), tally
        assert await server.post(body("0.34.2", "firing")) == 200
        assert (await server.get("/health"))["components"]["journal"] == "ok"
