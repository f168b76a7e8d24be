"""The event stream: notices for desktops, the state for pages. Server-sent events; `id` is a decision's number."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

from aiohttp import web

from receiver.context import Context
from receiver.http.incoming import seq_of
from receiver.journal import View

HELD = timedelta(hours=24)
COMMENT_EVERY_S = 15.0
STATE_EVERY_S = 1.0
"""The shortest time between two sent states."""


async def follow(
    request: web.Request,
    context: Context,
    state: Callable[[], Awaitable[dict[str, Any]]],
    *,
    stopping: Callable[[], bool],
) -> web.StreamResponse:
    """Serve one follower until the follower leaves or the receiver stops."""
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    )
    asked = _asked_for(request)
    news = asyncio.Event()
    listener = _listener(news)
    context.journal.on_commit(listener)
    try:
        await response.prepare(request)
        await _serve(response, context, state, news=news, asked=asked, stopping=stopping)
    except (ConnectionResetError, ConnectionAbortedError):
        return response
    finally:
        context.journal.off_commit(listener)
    return response


def _listener(news: asyncio.Event) -> Callable[[int, bool], None]:
    def on_commit(_head: int, _acted: bool) -> None:  # noqa: FBT001 - a callback's argument
        news.set()

    return on_commit


def _asked_for(request: web.Request) -> int | None:
    """The last number that the follower knows; None if the follower names none, and so wants only new events."""
    given = request.headers.get("Last-Event-ID") or request.query.get("after")
    try:
        return None if given is None else seq_of(given)
    except ValueError:
        return None


async def _serve(
    response: web.StreamResponse,
    context: Context,
    state: Callable[[], Awaitable[dict[str, Any]]],
    *,
    news: asyncio.Event,
    asked: int | None,
    stopping: Callable[[], bool],
) -> None:
    loop = asyncio.get_running_loop()
    after = await _begin(response, context, asked)
    state_seq, state_at = -1, loop.time() - STATE_EVERY_S
    while not stopping():
        news.clear()
        notices = await context.journal.read(lambda journal, since=after: journal.notices(after=since))  # type: ignore[misc]
        for seq, body in notices:
            await _send(response, "notice", body, seq)
            after = seq
        if context.journal.head > state_seq and loop.time() >= state_at + STATE_EVERY_S:
            body = await state()
            state_seq, state_at = int(body["seq"]), loop.time()
            await _send(response, "state", body, None)
        pause_s = COMMENT_EVERY_S
        if context.journal.head > state_seq:
            pause_s = max(state_at + STATE_EVERY_S - loop.time(), 0.01)
        try:
            async with asyncio.timeout(pause_s):
                await news.wait()
        except TimeoutError:
            if pause_s == COMMENT_EVERY_S:
                await response.write(b": still here\n\n")


async def _begin(response: web.StreamResponse, context: Context, asked: int | None) -> int:
    """The number to go on from; a follower that missed what is no longer held is told so."""
    head = await context.journal.read(lambda journal: journal.head()[0])
    if asked is None:
        return head
    since = context.clock() - HELD
    if asked > head or await context.journal.read(lambda journal: _lost(journal, asked, since)):
        await _send(response, "reset", {"seq": head}, head)
        return head
    return asked


def _lost(journal: View, asked: int, since: datetime) -> bool:
    """Whether a notice that the follower does not know is gone. A quiet day is no loss."""
    unknown = journal.notices(after=asked, limit=1)
    return bool(unknown) and unknown[0][0] < journal.first_seq_since(since)


async def _send(response: web.StreamResponse, event: str, body: Any, seq: int | None) -> None:
    number = f"id: {seq}\n" if seq is not None else ""
    data = json.dumps(body, ensure_ascii=True, separators=(",", ":"))
    await response.write(f"{number}event: {event}\ndata: {data}\n\n".encode())
