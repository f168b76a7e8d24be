"""What all followers of the event stream share: one rendering of the state, and one look for new notices.

However many follow, the journal is asked once, and the same bytes go to everyone.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from receiver.context import Context

STATE_EVERY_S = 1.0
"""The shortest time between two renderings of the state."""

NOTICES_KEPT = 1000
"""How many notices stay in memory. A follower that knows only older ones asks the journal."""

LOOK_MAX = 200


class Rendered(Struct, frozen=True, kw_only=True):
    """The state as an event, with the number of its last decision."""

    seq: int
    event: bytes


class Broadcast:
    """Belongs to one event loop. `render` gives the state's body, with its `seq`."""

    def __init__(self, context: Context, render: Callable[[], Awaitable[Mapping[str, Any]]]) -> None:
        self._context = context
        self._render = render
        self._rendering: asyncio.Task[Rendered] | None = None
        self._rendered = Rendered(seq=-1, event=b"")
        self._next_at = 0.0
        self._looking: asyncio.Task[None] | None = None
        self._notices: deque[tuple[int, bytes]] = deque()
        self._known_from: int | None = None
        self._known_to = 0

    @property
    def next_at(self) -> float:
        """The time, on the loop's clock, before which the state is not rendered again."""
        return self._next_at

    async def state(self) -> Rendered:
        """The state as last rendered; rendered anew if something was decided since, and not too soon.

        Raises JournalError.
        """
        if self._rendering is None:
            loop = asyncio.get_running_loop()
            if self._context.journal.head <= self._rendered.seq or loop.time() < self._next_at:
                return self._rendered
            self._rendering = asyncio.create_task(self._render_once(), name="render-state")
        # A follower that leaves must not take the rendering from the others.
        return await asyncio.shield(self._rendering)

    async def _render_once(self) -> Rendered:
        try:
            body = await self._render()
            self._rendered = Rendered(seq=int(body["seq"]), event=event("state", body))
            return self._rendered
        finally:
            self._next_at = asyncio.get_running_loop().time() + STATE_EVERY_S
            self._rendering = None

    async def notices(self, after: int) -> Sequence[tuple[int, bytes]]:
        """Notices after a number, in order, as events. Raises JournalError."""
        journal = self._context.journal
        if self._known_from is None:
            self._known_from = self._known_to = journal.head
        if after < self._known_from:
            found = await journal.read(lambda view: view.notices(after=after, limit=LOOK_MAX))
            return [(seq, event("notice", body, seq)) for seq, body in found]
        if self._looking is None and journal.head > self._known_to:
            self._looking = asyncio.create_task(self._look(), name="look-for-notices")
        if self._looking is not None:
            await asyncio.shield(self._looking)
        return [(seq, data) for seq, data in self._notices if seq > after]

    async def _look(self) -> None:
        journal = self._context.journal
        try:
            while True:
                head, known = journal.head, self._known_to
                found = await journal.read(lambda view, known=known: view.notices(after=known, limit=LOOK_MAX))  # type: ignore[misc]
                self._notices.extend((seq, event("notice", body, seq)) for seq, body in found)
                if len(found) < LOOK_MAX:
                    self._known_to = max([head, *(seq for seq, _ in found)])
                    break
                self._known_to = found[-1][0]
            while len(self._notices) > NOTICES_KEPT:
                self._known_from, _ = self._notices.popleft()
        finally:
            self._looking = None


def event(name: str, body: Any, seq: int | None = None) -> bytes:
    """One server-sent event."""
    number = f"id: {seq}\n" if seq is not None else ""
    data = json.dumps(body, ensure_ascii=True, separators=(",", ":"))
    return f"{number}event: {name}\ndata: {data}\n\n".encode()
