"""One POST of JSON, which tells every kind of failure apart."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import MappingProxyType
from typing import Any

import aiohttp
from msgspec import Struct

from receiver.decide.notice import PermanentFailure, RateLimited, TemporaryFailure
from receiver.decide.retry import RETRY_AFTER_MAX_S, Kind, classify_http
from receiver.notify.channel import unsafe_url
from receiver.notify.secret import redact

ANSWER_MAX_BYTES = 2048


class Answer(Struct, frozen=True, kw_only=True):
    """A good answer. `text` is `STATUS text` without secrets, fit for the journal; `body` is what came."""

    text: str
    body: bytes


async def post_json(
    http: aiohttp.ClientSession,
    url: str,
    payload: Mapping[str, Any],
    *,
    timeout_s: float,
    secrets: tuple[str, ...],
    now: Callable[[], datetime],
) -> str:
    """POST `payload` and give the answer as `STATUS text`, with `secrets` hidden. Raises as `post` does."""
    return (await post(http, url, payload, timeout_s=timeout_s, secrets=secrets, now=now)).text


async def post(
    http: aiohttp.ClientSession,
    url: str,
    payload: Mapping[str, Any],
    *,
    timeout_s: float,
    secrets: tuple[str, ...],
    now: Callable[[], datetime],
    headers: Mapping[str, str] = MappingProxyType({}),
    limit: int = ANSWER_MAX_BYTES,
) -> Answer:
    """POST `payload` and give the answer, of which at most `limit` bytes are read.

    Redirects are not followed. Raises RateLimited, TemporaryFailure or PermanentFailure.
    """
    unsafe = unsafe_url(url)
    if unsafe is not None:
        raise PermanentFailure(f"the channel's URL {unsafe}")
    timeout = aiohttp.ClientTimeout(total=timeout_s)
    try:
        async with http.post(url, json=payload, headers=headers, timeout=timeout, allow_redirects=False) as response:
            body = await _read(response.content, limit)
            text = redact(f"{response.status} {body.decode('utf-8', 'replace')}", *secrets)
            _check(response, text, now)
            return Answer(text=text, body=body)
    except aiohttp.InvalidURL:
        # The error's text is the URL, and the URL is the secret.
        raise PermanentFailure("the channel's URL is not a URL") from None
    except TimeoutError:
        raise TemporaryFailure(f"no answer within {timeout_s:g} s") from None
    except (aiohttp.ClientError, OSError) as error:
        reason = redact(f"{type(error).__name__}: {error}", *secrets)
        raise TemporaryFailure(reason) from None


def retry_after_s(header: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header (number or HTTP date) asks for; None if the header is missing or unusable."""
    if header is None:
        return None
    if header.strip().isascii() and header.strip().isdigit():
        return min(float(header), RETRY_AFTER_MAX_S)
    try:
        until = parsedate_to_datetime(header)
        aware = until if until.tzinfo else until.replace(tzinfo=UTC)
        return min(max(0.0, (aware - now).total_seconds()), RETRY_AFTER_MAX_S)
    except (ValueError, OverflowError, TypeError):
        return None


async def _read(content: aiohttp.StreamReader, limit: int) -> bytes:
    """The answer's first `limit` bytes, in however many pieces they come."""
    body = b""
    while len(body) < limit and (piece := await content.read(limit - len(body))):
        body += piece
    return body


def _check(response: aiohttp.ClientResponse, answer: str, now: Callable[[], datetime]) -> None:
    kind = classify_http(response.status)
    asked_s = retry_after_s(response.headers.get("Retry-After"), now())
    if kind is Kind.RATE_LIMITED:
        raise RateLimited(answer, asked_s)
    if kind is Kind.TEMPORARY:
        raise TemporaryFailure(answer, asked_s)
    if kind is Kind.PERMANENT:
        raise PermanentFailure(answer)
