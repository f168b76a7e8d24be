"""Plans the alerts that a large delivery left waiting, one piece after the other, so that others have their turn."""

from __future__ import annotations

import asyncio
import logging

from receiver.context import Context
from receiver.decide.model import Decision
from receiver.journal import Tx
from receiver.loops.supervise import supervise
from receiver.webhook.ingest import NotADeliveryError
from receiver.webhook.process import AT_ONCE, Later

log = logging.getLogger(__name__)


class Backlog:
    """Starts with `start`: what an earlier process left is planned first. `stop` ends between two pieces."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._later: Later | None = None
        self._stopping = False

    def start(self) -> None:
        """Begin."""
        self._context.journal.on_commit(self._on_commit)
        work = supervise(self._context, "backlog", self._once, self._rest, stopping=lambda: self._stopping)
        self._task = asyncio.create_task(work, name="backlog")

    async def stop(self) -> None:
        """Finish the present piece, and end."""
        self._stopping = True
        self._wake.set()
        if self._task is not None:
            await self._task

    def _on_commit(self, _head: int, acted: bool) -> None:  # noqa: FBT001 - a callback's argument
        if acted:
            self._wake.set()

    async def _once(self) -> bool:
        """Plan the next piece; whether there was one. Raises JournalError."""
        self._wake.clear()
        return await self._plan_some()

    async def _rest(self, more: bool) -> None:  # noqa: FBT001 - what `_once` has found
        if not more:
            self._later = None
            await self._wake.wait()

    async def _plan_some(self) -> bool:
        """Plan the next piece; whether there was one. Raises JournalError."""
        context = self._context
        waiting = await context.journal.read(lambda view: view.next_waiting(AT_ONCE))
        if waiting is None:
            return False
        if self._later is None or self._later.number != waiting.delivery:
            self._later = await self._read(waiting.delivery)
        later = self._later
        if later is not None:
            await context.journal.write(
                lambda tx: later.process(tx, context.box.policies, ids=context.ids),
                prepare=lambda: waiting.fingerprints,
            )
        else:
            await context.journal.write(lambda tx: _give_up(tx, waiting.delivery))
        return True

    async def _read(self, number: int) -> Later | None:
        """The alerts of a stored delivery; None if the delivery cannot be read any more."""
        stored = await self._context.journal.read(lambda view: view.delivery(number))
        if stored is None:
            return None
        try:
            return await asyncio.to_thread(Later.of, number, stored[1])
        except NotADeliveryError as error:
            log.error("backlog.unreadable", extra={"delivery": stored[0], "error": str(error)})  # noqa: TRY400 - said
            return None


def _give_up(tx: Tx, delivery: int) -> None:
    """Put the alerts of an unreadable delivery aside."""
    waiting = tx.next_waiting(AT_ONCE)
    taken = tx.take_waiting(AT_ONCE) if waiting is not None and waiting.delivery == delivery else None
    if taken is not None:
        sentence = f"{len(taken.fingerprints)} alerts of stored delivery {delivery} cannot be read: put aside"
        tx.note(Decision(kind="quarantined", sentence=sentence))
