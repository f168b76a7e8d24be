"""Raw HTTP: requests as bytes, sound ones and broken ones, and the first line of what comes back."""

import asyncio
import gzip
import random
from collections.abc import Sequence

from msgspec import Struct

ANSWER_S = 5.0
HOST = b"127.0.0.1"
DEEP = b"[" * 100_000
DIGITS = b"9" * 5000
NOT_UTF8 = b"\xff\xfe\x80"

METHODS = (b"GET", b"POST", b"HEAD", b"PUT", b"DELETE", b"OPTIONS", b"PATCH", b"TRACE", b"FREEZE", b"get", b"\xff")
QUERIES = (
    b"",
    b"",
    b"after=0",
    b"after=" + DIGITS,
    b"after=-1",
    b"after=%FF",
    b"after=9223372036854775808",
    b"%00",
    b"a=%ZZ",
)
VALUES = (
    b"",
    b"0",
    b"-1",
    b"\xff\xfe",
    b"a" * 9000,
    DIGITS,
    b"http://[",
    b"%00",
    b"\t",
    b"{}",
    b"chunked, chunked",
    b"\x00",
)
HEADERS = (
    *(b"Host", b"Origin", b"Authorization", b"Cookie", b"Content-Type", b"Content-Length", b"Content-Encoding"),
    *(b"Transfer-Encoding", b"Expect", b"Connection", b"Upgrade", b"Last-Event-ID", b"X-Request-ID", b"Sec-Fetch-Site"),
    *(b"Accept-Encoding", b"Range", b"If-None-Match", b"Forwarded", b"X-Forwarded-Host"),
)
BODIES = (
    *(b"", b"{}", b"[]", b"null", b"{", DEEP, b'{"a":' * 5000, NOT_UTF8, b"\x00", b'{"alerts": []}', DIGITS),
    b'{"service": "\\ud800", "reason": "\\udfff", "by": "\\u0000"}',
    b'{"service": "gateway", "reason": ' + b'"x' * 3000 + b'"}',
    b'{"service": 1e999, "reason": NaN, "action": []}',
    b'{"version": ' + b"[" * 900 + b"]" * 900 + b', "alerts": []}',
    b'{"version": ' + DIGITS + b', "alerts": []}',
    b'{"alerts": [{"labels": {"\\ud800": "\\ud800"}, "status": "firing", "startsAt": "9000-12-31T23:59:59-23:59"}]}',
    b'{"alerts": [{"labels": {"a": "b"}, "status": "firing", "startsAt": "1970-01-01T00:00:00+23:59"}]}',
    b"csrf=%FF&service=%00&token=\xff&name=" + b"n" * 20_000,
    gzip.compress(b'{"alerts": []}'),
    gzip.compress(b'{"alerts": []}')[:-6],
    gzip.compress(b'{"alerts": []}')[:12] + b"zzzz",
    gzip.compress(b"[" * 3_000_000),
)
TYPES = (
    *(b"application/json", b"application/x-www-form-urlencoded", b"multipart/form-data; boundary=x", b"text/plain"),
    *(b"application/x-www-form-urlencoded; charset=nonsense", b"application/json; charset=utf-16", b"\xff/\xff", b";"),
)
CODINGS = (b"gzip", b"deflate", b"br", b"zstd", b"identity", b"gzip, gzip", b"nonsense")


class Request(Struct, frozen=True, kw_only=True):
    """One request. A header may come twice."""

    method: bytes = b"GET"
    path: bytes = b"/health"
    headers: Sequence[tuple[bytes, bytes]] = ()
    body: bytes = b""
    sized: bool = True

    def encoded(self) -> bytes:
        """The bytes on the wire."""
        headers = [*self.headers]
        if not any(name == b"Host" for name, _ in headers):
            headers.insert(0, (b"Host", HOST))
        if self.sized and self.body:
            headers.append((b"Content-Length", str(len(self.body)).encode()))
        lines = [b"%s %s HTTP/1.1" % (self.method, self.path), *(b"%s: %s" % header for header in headers)]
        return b"\r\n".join(lines) + b"\r\n\r\n" + self.body


async def sent(port: int, request: bytes) -> int:
    """Send bytes, and give the status of the first answer.

    0 for a connection that is closed without an answer, and for a receiver that waits for the rest of the request.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        async with asyncio.timeout(ANSWER_S):
            writer.write(request)
            await writer.drain()
            line = await reader.readline()
    except (ConnectionError, TimeoutError):
        return 0
    finally:
        writer.close()
    words = line.split()
    return int(words[1]) if len(words) > 1 and words[0].startswith(b"HTTP/") else 0


def random_request(draw: random.Random, paths: Sequence[bytes], tokens: Sequence[bytes], cookie: bytes) -> bytes:
    """A request that is sound up to a few mistakes, so that most of them get past the first check."""
    path = (
        draw.choice(paths) if draw.random() < 0.9 else draw.choice([b"*", b"//", b"/\xff", b"http://[", b"/%00", b""])
    )
    query = draw.choice(QUERIES)
    headers = [(b"Authorization", b"Bearer " + draw.choice(tokens)), (b"Cookie", b"freezeline=" + cookie)]
    body = draw.choice(BODIES) if draw.random() < 0.7 else b""
    if body and draw.random() < 0.8:
        headers.append((b"Content-Type", draw.choice(TYPES)))
    if body.startswith(b"\x1f\x8b") or draw.random() < 0.1:
        headers.append((b"Content-Encoding", b"gzip" if draw.random() < 0.7 else draw.choice(CODINGS)))
    headers += [(draw.choice(HEADERS), draw.choice(VALUES)) for _ in range(draw.choice([0, 0, 1, 1, 2]))]
    method = draw.choice([b"GET", b"POST"]) if draw.random() < 0.85 else draw.choice(METHODS)
    target = path + (b"?" + query if query else b"")
    request = Request(method=method, path=target, headers=headers, body=body, sized=draw.random() < 0.95).encoded()
    return _damaged(draw, request) if draw.random() < 0.15 else request


def _damaged(draw: random.Random, request: bytes) -> bytes:
    """Cut, repeat or change some bytes."""
    at = draw.randrange(len(request))
    return (
        draw.choice(
            [
                request[:at] + b"\r\n\r\n",
                request[:at] + bytes([draw.randrange(256)]) + request[at + 1 :],
                request[:at] + draw.randbytes(draw.randrange(1, 40)) + request[at:],
                request.replace(b"\r\n", b"\n", 1),
                request + request,
            ]
        )
        + b"\r\n\r\n"
    )
