"""Wakes somebody through the fallback channel while the receiver is away: each page once, whoever kills the engine.

A page that may have been heard says so in its title.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from receiver.decide.notice import NotifyFailure
from release.store.database import Database

log = logging.getLogger(__name__)


class Fallback(Protocol):
    """Pages somebody without the receiver."""

    async def __call__(self, title: str, text: str, *, repeat: bool) -> None:
        """Page. `repeat` says that the channel may have heard this page before. Raises NotifyFailure."""


class Paging(Struct, frozen=True, kw_only=True):
    """The pages of one service. `fallback` None: only the log hears."""

    service: str
    database: Database
    clock: Callable[[], float]
    fallback: Fallback | None = None

    async def page(self, name: str, text: str, *, again_s: float = math.inf) -> None:
        """Page, unless the channel heard this page less than `again_s` ago.

        A failure is logged, and the caller goes on; the caller's next attempt pages again. An engine that was killed
        while it paged does not know whether the channel heard: the next engine pages again, marked as a repeat.
        """
        heard_at = self.database.paged_at(name)
        if heard_at is not None and self.clock() - heard_at < again_s:
            return
        log.error("canary.page", extra={"service": self.service, "text": text})
        repeat = self.database.begin_page(name, at=self.clock())
        try:
            if self.fallback is not None:
                await self.fallback(f"{self.service}: rollout needs help", text, repeat=repeat)
        except NotifyFailure as error:
            log.error("canary.page_failed", extra={"error": error.reason})  # noqa: TRY400 - the abort goes on all the same
            self.database.end_page(name)
            return
        self.database.end_page(name, heard_at=self.clock())
