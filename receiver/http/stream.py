"""The event stream: notices for desktops, the state for pages. Server-sent events; `id` is a decision's number."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from aiohttp import web

from receiver.context import Context
from receiver.http.broadcast import Broadcast, event
from receiver.http.incoming import seq_of
from receiver.journal import View

HELD = timedelta(hours=24)
COMMENT_EVERY_S = 15.0


async def follow(
    request: web.Request,
    context: Context,
    broadcast: Broadcast,
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
        await _serve(response, context, broadcast, news=news, asked=asked, stopping=stopping)
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
    broadcast: Broadcast,
    *,
    news: asyncio.Event,
    asked: int | None,
    stopping: Callable[[], bool],
) -> None:
    loop = asyncio.get_running_loop()
    after = await _begin(response, context, asked)
    sent = -1
    while not stopping():
        news.clear()
        for seq, data in await broadcast.notices(after):
            await response.write(data)
            after = seq
        if context.journal.head > sent:
            rendered = await broadcast.state()
            if rendered.seq > sent:
                await response.write(rendered.event)
                sent = rendered.seq
        pause_s = COMMENT_EVERY_S
        if context.journal.head > sent:
            pause_s = max(broadcast.next_at - loop.time(), 0.01)
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
        await response.write(event("reset", {"seq": head}, head))
        return head
    return asked


def _lost(journal: View, asked: int, since: datetime) -> bool:
    """Whether a notice that the follower does not know is gone. A quiet day is no loss."""
    unknown = journal.notices(after=asked, limit=1)
    return bool(unknown) and unknown[0][0] < journal.first_seq_since(since)
