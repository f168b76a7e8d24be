"""One connection to the event stream, and the pause between two connections."""

from collections.abc import AsyncGenerator

import aiohttp

from freezeline.toast.sse import Event, Parser, StreamTooLargeError

EVENTS_PATH = "/api/v1/events"
CONNECT_TIMEOUT_S = 10.0
# The receiver sends a comment every 15 s.
SILENCE_MAX_S = 45.0
BACKOFF_S = (1.0, 2.0, 5.0, 10.0, 30.0)
RETRY_AFTER_MAX_S = 300.0
JITTER_RATIO = 0.3


class ConnectionLostError(Exception):
    """The stream ended, or could not be opened. `retry_after_s` is the receiver's requested pause, if any."""

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


def delay_s(failures: int, jitter: float, asked_s: float | None) -> float:
    """Seconds to wait after `failures` failed connections in a row (from 1); `jitter` in [0, 1)."""
    backoff = BACKOFF_S[min(failures, len(BACKOFF_S)) - 1] * (1 + JITTER_RATIO * jitter)
    return max(backoff, min(asked_s or 0.0, RETRY_AFTER_MAX_S))


async def follow(http: aiohttp.ClientSession, url: str, token: str, after: int | None) -> AsyncGenerator[Event, None]:
    """Yield the events of one connection after `after` (None: from now on). The end is always an error.

    Raises ConnectionLostError. Redirects are refused: they could carry the token to another server.
    """
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream", "Cache-Control": "no-store"}
    if after is not None:
        headers["Last-Event-ID"] = str(after)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=SILENCE_MAX_S)
    parser = Parser()
    try:
        async with http.get(f"{url}{EVENTS_PATH}", headers=headers, timeout=timeout, allow_redirects=False) as answer:
            _check(answer)
            async for chunk in answer.content.iter_any():
                for event in parser.feed(chunk):
                    yield event
    except TimeoutError:
        raise ConnectionLostError(f"the receiver sent nothing for {SILENCE_MAX_S:g} s", _asked_s(parser)) from None
    except (aiohttp.ClientError, OSError, StreamTooLargeError) as error:
        raise ConnectionLostError(f"{type(error).__name__}: {error}", _asked_s(parser)) from error
    raise ConnectionLostError("the receiver closed the stream", _asked_s(parser))


def _check(answer: aiohttp.ClientResponse) -> None:
    if answer.status == 200 and answer.content_type == "text/event-stream":
        return
    header = answer.headers.get("Retry-After", "")
    asked_s = float(header) if header.isascii() and header.isdigit() else None
    if answer.status in {401, 403}:
        raise ConnectionLostError(f"{answer.status}: the receiver does not accept the token", asked_s)
    raise ConnectionLostError(f"{answer.status} {answer.content_type} instead of an event stream", asked_s)


def _asked_s(parser: Parser) -> float | None:
    return None if parser.retry_ms is None else parser.retry_ms / 1000
