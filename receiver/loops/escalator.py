"""Runs `receiver.decide.escalate` on the journal, after commits and when the next level or update is due."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from datetime import datetime

from receiver.context import Context
from receiver.decide import escalate
from receiver.decide.escalate import Incident
from receiver.decide.model import Action, Decision
from receiver.journal import Tx, View
from receiver.loops.supervise import supervise

LOOK_EVERY_S = 1.0
"""The shortest time between two looks, however often the journal is written."""


class Escalator:
    """Starts with `start`, ends with `stop`. The keys of notices keep a restart from sending a notice twice."""

    def __init__(self, context: Context, *, look_every_s: float = LOOK_EVERY_S) -> None:
        self._context = context
        self._look_every_s = look_every_s
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Look at once, then after every change and whenever something is due."""
        self._context.journal.on_commit(self._on_commit)
        work = supervise(self._context, "escalator", self._look, self._pause)
        self._task = asyncio.create_task(work, name="escalator")

    async def stop(self) -> None:
        """End between two looks. A write that has begun is finished."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def _on_commit(self, _head: int, _acted: bool) -> None:  # noqa: FBT001 - a callback's argument
        self._wake.set()

    async def _pause(self, next_due: datetime | None) -> None:
        await asyncio.sleep(self._look_every_s)
        await self._rest(next_due)

    async def _look(self) -> datetime | None:
        """Send the due notices. Returns the time of the next due notice."""
        self._wake.clear()
        context = self._context
        now = context.clock()
        actions, next_due = await context.journal.read(lambda view: untold(view, context, now=now))
        if actions:
            # Asked again where it is written: somebody may have acknowledged in between.
            await asyncio.shield(context.journal.write(lambda tx: tell(tx, untold(tx, context, now=now)[0])))
        return next_due

    async def _rest(self, until: datetime | None) -> None:
        timeout_s = None if until is None else max((until - self._context.clock()).total_seconds(), 0.0)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._wake.wait()


def incidents_in(view: View, context: Context) -> list[Incident]:
    """The live incidents that may need a notice by time."""
    policies = context.box.policies.by_sha256
    timed = [sha256 for sha256, policy in policies.items() if policy.escalation or policy.status_every_s is not None]
    if not timed:
        return []
    live = view.episodes_beside(timed)
    named = {episode.incident: view.episode(episode.incident) for episode in live}
    firsts = {name: episode for name, episode in named.items() if episode is not None}
    return escalate.group(live, firsts, policies)


def untold(view: View, context: Context, *, now: datetime) -> tuple[list[Action], datetime | None]:
    """Due notices that the journal does not hold yet, and the time of the next notices."""
    incidents = incidents_in(view, context)
    due = [action for incident in incidents for action in escalate.due(incident, now=now, ids=context.ids)]
    times = [escalate.next_due(incident, now=now) for incident in incidents]
    fresh = [action for action in due if view.action_by_key(action.key) is None]
    return fresh, min((at for at in times if at is not None), default=None)


def tell(tx: Tx, actions: Sequence[Action]) -> int:
    """Store the notices with new keys, each with its decision, and return their number."""
    told = [action for action in actions if tx.add_action(action)]
    for action in told:
        tx.note(
            Decision(
                kind=action.payload["event"],
                sentence=f"{action.service}: {action.payload['event']} is due: telling {action.name}",
                episode=action.episode,
                action=action.id,
                trace_id=action.trace.trace_id,
            )
        )
    return len(told)
