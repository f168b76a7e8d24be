"""The heartbeat beside every flag, which tells "not frozen" from "no receiver watches"."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from receiver.act import flagfile
from receiver.context import Context
from receiver.decide.model import stamp_ms
from receiver.decide.plan import WATCHDOG
from receiver.policy.model import FreezeAction

log = logging.getLogger(__name__)

EVERY_S = 5.0
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Heartbeat:
    """Every five seconds writes beside every flag that a policy names or that has a freeze reason."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._task: asyncio.Task[None] | None = None
        self._boot_id = BOOT_ID.read_text("ascii").strip() if BOOT_ID.exists() else ""

    def start(self) -> None:
        """Begin."""
        self._task = asyncio.create_task(self._run(), name="heartbeat")

    async def stop(self) -> None:
        """End. The last heartbeat then grows old."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            await self.beat()
            await asyncio.sleep(EVERY_S)

    async def beat(self) -> None:
        """Write every heartbeat once. If one cannot be written, log the error and write the others."""
        context = self._context
        held, watchdog_at = await context.journal.read(
            lambda journal: (journal.flags(), journal.last_seen_at(WATCHDOG))
        )
        in_force = context.box.policies.in_force
        flags = set(held) | {
            action.flag for policy in in_force for action in policy.actions.values() if isinstance(action, FreezeAction)
        }
        content = {
            "at": stamp_ms(context.clock()),
            "host": context.host,
            "boot_id": self._boot_id,
            "journal_seq": context.journal.head,
            "watchdog_at": stamp_ms(watchdog_at) if watchdog_at else None,
            "policies": {policy.name: f"sha256:{policy.sha256}" for policy in in_force},
        }
        for directory in sorted({Path(flag).parent for flag in flags}):
            try:
                await asyncio.to_thread(flagfile.write_heartbeat, directory / "flag", content)
            except (OSError, flagfile.FlagDirectoryError) as error:
                log.error("heartbeat.failed", extra={"directory": str(directory), "error": str(error)})  # noqa: TRY400
