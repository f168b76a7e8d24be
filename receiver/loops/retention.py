"""Once a day: drops old bodies, decisions and runs, and logs the hash chain's head outside of the journal."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from receiver.context import Context
from receiver.decide.hosts import FORGOTTEN_AFTER
from receiver.journal import Tx
from receiver.loops.supervise import supervise
from receiver.run import runs

log = logging.getLogger(__name__)

EVERY_S = 86400.0
BODIES_KEPT = timedelta(days=30)
DECISIONS_KEPT = timedelta(days=400)


class Retention:
    """Runs at the start and then daily."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin."""
        work = supervise(self._context, "retention", self.tidy, lambda _: asyncio.sleep(EVERY_S))
        self._task = asyncio.create_task(work, name="retention")

    async def stop(self) -> None:
        """End."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def tidy(self) -> None:
        """Prune once, and log the chain's head. Raises JournalError, OSError."""
        now = self._context.clock()

        def prune(tx: Tx) -> int:
            if tx.several:
                tx.forget_hosts(FORGOTTEN_AFTER)
            return tx.prune(bodies_before=now - BODIES_KEPT, decisions_before=now - DECISIONS_KEPT)

        dropped = await self._context.journal.write(prune)
        runs_dropped = await asyncio.to_thread(runs.prune, self._context.runs_dir, before=now - BODIES_KEPT)
        seq, digest = await self._context.journal.read(lambda journal: journal.head())
        log.info(
            "journal.head",
            extra={"action": "retention", "seq": seq, "hash": digest, "dropped": dropped, "runs_dropped": runs_dropped},
        )
