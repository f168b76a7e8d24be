"""One question to another server over HTTP, with an end to its time, a limit to its answer, and no redirects.

Only addresses that people wrote are asked, never an address from an alert.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import aiohttp
from msgspec import Struct

from receiver.plaintext import plain

Headers = Callable[[], Mapping[str, str]]
"""Gives the headers of a request, before each request: a file's secret may have changed. May raise SourceError."""


class SourceError(Exception):
    """A server did not answer, or its answer makes no sense. The message is text for people."""


class Limits(Struct, frozen=True, kw_only=True):
    """How long a question may take, and how long its answer may be."""

    seconds: float
    most_bytes: int


QUICK = Limits(seconds=5.0, most_bytes=16 * 1024 * 1024)
"""For the receiver, which asks often, and must not wait for one server."""


class Asked(Struct, frozen=True, kw_only=True):
    """The server's status, and its answer read as JSON."""

    status: int
    content: Any


async def ask(
    http: aiohttp.ClientSession,
    method: str,
    url: str,
    *,
    who: str,
    headers: Headers,
    limits: Limits,
    form: Mapping[str, str] | None = None,
) -> Asked:
    """Ask once. `who` names the server in messages. Raises SourceError for anything but an answer with JSON."""
    sent = dict(headers())
    timeout = aiohttp.ClientTimeout(total=limits.seconds)
    try:
        async with http.request(
            method, url, data=form, headers=sent, timeout=timeout, allow_redirects=False
        ) as response:
            body = await _limited(response, who, limits)
            status = response.status
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
        raise SourceError(plain(f"{who} cannot be asked: {type(error).__name__} {error}", 200)) from error
    try:
        return Asked(status=status, content=json.loads(body))
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{who} answered {status} without JSON") from error


async def _limited(response: aiohttp.ClientResponse, who: str, limits: Limits) -> bytes:
    """The whole body, which must not be too long, whatever its headers say."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > limits.most_bytes:
            raise SourceError(f"{who} answered more than {limits.most_bytes} bytes")
    return bytes(body)


def from_files(headers: Mapping[str, str], token_file: str = "") -> Headers:
    """Headers in which `@FILE` stands for the line that the file holds now. `token_file` holds a bearer token."""

    def now() -> Mapping[str, str]:
        sent = {name: _secret(value[1:]) if value.startswith("@") else value for name, value in headers.items()}
        return sent | ({"Authorization": f"Bearer {_secret(token_file)}"} if token_file else {})

    return now


def _secret(path: str) -> str:
    """The one line of a file. Raises SourceError, which names the file and never its content."""
    try:
        text = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"{path}: cannot be read") from error
    if not text.isascii() or not text.isprintable():
        raise SourceError(f"{path}: must hold one line of ASCII text")
    return text
