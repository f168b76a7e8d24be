"""Wakes somebody through the fallback channel while the receiver is away: each page once, whoever kills the engine."""

from __future__ import annotations

import logging
import math
from collections.abc import Awaitable, Callable

from msgspec import Struct

from receiver.decide.notice import NotifyFailure
from release.store.database import Database

log = logging.getLogger(__name__)

Fallback = Callable[[str, str], Awaitable[None]]
"""Pages somebody without the receiver: title and text. Raises NotifyFailure."""


class Paging(Struct, frozen=True, kw_only=True):
    """The pages of one service. `fallback` None: only the log hears."""

    service: str
    database: Database
    clock: Callable[[], float]
    fallback: Fallback | None = None

    async def page(self, name: str, text: str, *, again_s: float = math.inf) -> None:
        """Page, unless the channel heard this page less than `again_s` ago.

        A failure is logged, and the caller goes on; the caller's next attempt pages again.
        """
        heard_at = self.database.paged_at(name)
        if heard_at is not None and self.clock() - heard_at < again_s:
            return
        log.error("canary.page", extra={"service": self.service, "text": text})
        try:
            if self.fallback is not None:
                await self.fallback(f"{self.service}: rollout needs help", text)
        except NotifyFailure as error:
            log.error("canary.page_failed", extra={"error": error.reason})  # noqa: TRY400 - the abort goes on all the same
            return
        self.database.paged(name, at=self.clock())
