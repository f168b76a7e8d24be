"""Renews the right to lead, or waits for it. Only for a journal that several receivers share."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from importlib.metadata import version

from receiver.context import Context
from receiver.journal import JournalError, Tx
from receiver.leading import PARTS
from receiver.loops.supervise import supervise

log = logging.getLogger(__name__)


class Lead:
    """`take_over` starts what only a leader does. `lost` ends the receiver, which then starts again and stands by."""

    def __init__(
        self, context: Context, *, take_over: Callable[[], Awaitable[None]], lost: Callable[[str], None]
    ) -> None:
        self._context = context
        self._take_over = take_over
        self._lost = lost
        self._leads = False
        self._guards: Mapping[str, str] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Ask at once, then every few seconds."""
        every_s = self._context.leading.lease_s / PARTS
        work = supervise(self._context, "lead", self.renew, lambda _: asyncio.sleep(every_s))
        self._task = asyncio.create_task(work, name="lead")

    async def stop(self) -> None:
        """End, and let another receiver lead at once."""
        if self._task is None:
            return
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        self._context.leading.lost()
        with contextlib.suppress(JournalError):
            await self._context.journal.write(lambda tx: tx.leave(self._context.owner))

    async def renew(self) -> None:
        """Ask the journal for the right to lead. Raises JournalError."""
        context, leading = self._context, self._context.leading
        asked_at = leading.asked_at()
        guards = {path: policy.service for path, policy in context.box.policies.flags().items()}

        def claim(tx: Tx) -> bool:
            tx.appear(
                place=leading.place,
                owner=leading.owner,
                host=context.host,
                version=version("freezeline"),
                knows=context.journal.knows,
            )
            if guards != self._guards:
                tx.guard(context.host, guards)
            return tx.claim_lead(place=leading.place, owner=leading.owner, ttl_s=leading.lease_s)

        leads = await context.journal.write(claim)
        self._guards = guards
        if leads:
            leading.won(asked_at)
            if not self._leads:
                log.info("lead.won", extra={"owner": leading.owner})
                await self._take_over()
                self._leads = True
        elif self._leads:
            leading.lost()
            self._lost("another receiver leads now: this receiver starts again, and stands by")
