"""Reads what strangers send: bodies, JSON objects, forms and sequence numbers. Nonsense is refused, never raised on.

A body that cannot be decoded gets 400, a body that is too large 413, and a body with the wrong content 422.
Alertmanager sends a webhook again after 5xx only, so nothing that a sender did wrong may become a 5xx. A body that
comes too slowly gets 503: the same body, sent again, may well arrive.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.web_protocol import RequestPayloadError

BODY_MAX_BYTES = 10 * 1024 * 1024
BODY_LIMIT_S = 30.0
"""How long a sender may take from the end of the headers to the end of the body."""

FORM_MAX_BYTES = 16 * 1024
SEQ_MAX = 2**63 - 1
"""The largest number that the journal can compare."""

_SEQ_DIGITS = len(str(SEQ_MAX))


class RefusedError(Exception):
    """A request that the receiver refuses. `status` is the HTTP status of the answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def problem(status: int, message: str, *, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error as JSON."""
    return web.json_response({"error": message}, status=status, headers=headers)


async def body_of(request: web.Request, *, max_bytes: int = BODY_MAX_BYTES, limit_s: float = BODY_LIMIT_S) -> bytes:
    """The decoded body of a request. Raises RefusedError."""
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    try:
        body = await _read(request, limit_s)
    except TimeoutError as error:
        raise RefusedError(503, f"the body was not complete after {limit_s:g} s") from error
    except web.HTTPRequestEntityTooLarge as error:
        raise _too_large(max_bytes) from error
    except RequestPayloadError as error:
        coding = request.headers.get(hdrs.CONTENT_ENCODING, "") or request.headers.get(hdrs.TRANSFER_ENCODING, "")
        raise RefusedError(400, f"the body cannot be decoded as {coding!a}") from error
    except ConnectionError as error:
        raise RefusedError(400, "the sender left before the end of the body") from error
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    return body


def _too_large(max_bytes: int) -> RefusedError:
    return RefusedError(413, f"the body has more than {max_bytes} bytes")


async def _read(request: web.Request, limit_s: float) -> bytes:
    """The body. Raises TimeoutError. Nearly every body has come with its headers, and needs no wait."""
    if request.content.is_eof():
        return request.content.read_nowait()
    async with asyncio.timeout(limit_s):
        return await request.read()


async def object_of(request: web.Request) -> dict[str, Any]:
    """The JSON object in the body of a request. Raises RefusedError."""
    try:
        raw = json.loads(await body_of(request))
    except (ValueError, RecursionError) as error:
        raise RefusedError(422, "the body is not JSON") from error
    if not isinstance(raw, dict):
        raise RefusedError(422, "the body is not a JSON object")
    return raw


async def form_of(request: web.Request) -> dict[str, str]:
    """The fields of a form, always read as UTF-8. A body of another kind has no fields. Raises RefusedError."""
    if request.content_type != "application/x-www-form-urlencoded":
        return {}
    body = await body_of(request, max_bytes=FORM_MAX_BYTES)
    return dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, errors="replace"))


def add_routes(app: web.Application, routes: Sequence[web.RouteDef]) -> None:
    """Add routes to an application, with answers of our own for every other path, method and expectation.

    aiohttp's own answers repeat what the sender wrote, and fail with 500 if the text is not UTF-8.
    """
    methods: dict[str, list[str]] = {}
    for route in routes:
        methods.setdefault(route.path, []).extend(["GET", "HEAD"] if route.method == "GET" else [route.method])

    async def elsewhere(request: web.Request) -> web.Response:
        allowed = methods.get(request.path)
        if allowed is None:
            raise RefusedError(404, "the receiver has no such path")
        return problem(405, "this path does not take this method", headers={hdrs.ALLOW: ", ".join(allowed)})

    others = web.route("*", "/{path:.*}", elsewhere)
    app.router.add_routes(
        [web.route(one.method, one.path, one.handler, expect_handler=_expected) for one in [*routes, others]]
    )


async def _expected(request: web.Request) -> web.Response | None:
    """Answer an Expect header: go on, or an error. HTTP/1.0 has no such header."""
    if request.version < HttpVersion11:
        return None
    if request.headers[hdrs.EXPECT].lower() != "100-continue":
        return problem(417, "the receiver knows only the expectation 100-continue")
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    request.writer.output_size = 0  # the answer itself has not begun
    return None


def seq_of(text: str) -> int:
    """A decision's number, as the senders of requests write the number. Raises ValueError."""
    if not (text.isascii() and text.isdigit() and len(text) <= _SEQ_DIGITS and int(text) <= SEQ_MAX):
        raise ValueError(f"not a number from 0 to {SEQ_MAX}")
    return int(text)
