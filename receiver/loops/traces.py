"""Follows the journal's decisions, and hands the spans of opened episodes and ended actions to the exporter."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime

from receiver.context import Context
from receiver.decide.model import FINAL_STATES
from receiver.decide.spans import Span, of_action, of_episode
from receiver.journal import View
from receiver.loops.supervise import supervise

AT_ONCE = 500
REMEMBERED = 10_000
"""An action that ended has several decisions. So many of the last exported actions are remembered."""


class Traces:
    """Starts with `start` at the journal's end, ends with `stop`. Of several receivers, only the leader sends."""

    def __init__(self, context: Context, send: Callable[[Sequence[Span]], None]) -> None:
        self._context = context
        self._send = send
        self._seq = 0
        self._sent: dict[str, None] = {}
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Follow what is decided from now on."""
        self._seq, _ = await self._context.journal.read(lambda view: view.head())
        self._context.journal.on_commit(self._on_commit)
        self._task = asyncio.create_task(supervise(self._context, "traces", self._look, self._rest), name="traces")

    async def stop(self) -> None:
        """Hand over what was decided until now, and end."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            while await self._look():
                pass

    def _on_commit(self, _head: int, _acted: bool) -> None:  # noqa: FBT001 - a callback's argument
        self._wake.set()

    async def _look(self) -> bool:
        """Hand over the spans of the next decisions; true if there may be more."""
        self._wake.clear()
        spans, last, more = await self._context.journal.read(self._found)
        self._seq = max(self._seq, last)
        if spans and self._context.leading.holds():
            self._send(spans)
        return more

    async def _rest(self, more: bool) -> None:  # noqa: FBT001 - what `_look` returns
        if not more:
            await self._wake.wait()

    def _found(self, view: View) -> tuple[list[Span], int, bool]:
        decisions = view.decisions(after=self._seq, limit=AT_ONCE)
        opened = [one.decision.episode for one in decisions if one.decision.kind == "opened"]
        spans = [of_episode(episode) for episode in view.episodes(opened).values()]
        for one in decisions:
            spans += self._ended(view, one.decision.action, one.at)
        return spans, decisions[-1].seq if decisions else 0, len(decisions) == AT_ONCE

    def _ended(self, view: View, action_id: str, at: datetime) -> Iterator[Span]:
        """The span of an action that has ended, once."""
        if not action_id or action_id in self._sent:
            return
        action = view.action(action_id)
        episode = view.episode(action.episode) if action is not None and action.state in FINAL_STATES else None
        if action is None or episode is None:
            return
        self._sent[action_id] = None
        while len(self._sent) > REMEMBERED:
            del self._sent[next(iter(self._sent))]
        yield of_action(action, episode, at)
