"""Delivers what people must hear through the receiver, which tells its channels durably, each message once."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from release.engine.outside import Outside
from release.engine.receiver import ReceiverError
from release.store.database import Database, Message

log = logging.getLogger(__name__)

RETRY_S = 2.0
LAST_WORDS_S = 20.0
"""How long an engine whose rollout has ended waits for the receiver to take the last messages."""


class Telling:
    """Sends the database's undelivered messages in their order. A message's number makes a repeat harmless."""

    def __init__(self, database: Database, outside: Outside) -> None:
        self._database = database
        self._outside = outside
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """There may be a new message."""
        self._wake.set()

    async def run(self) -> None:
        """Deliver for ever."""
        while True:
            self._wake.clear()
            done = await self.deliver()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if done else RETRY_S):
                    await self._wake.wait()
                    if not done:
                        await asyncio.sleep(RETRY_S)

    async def last_words(self) -> None:
        """Let the receiver take the last messages. What stays is delivered by the service's next engine."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_WORDS_S):
                done = await self.deliver()
                while not done:
                    await asyncio.sleep(RETRY_S)
                    done = await self.deliver()

    async def deliver(self) -> bool:
        """Deliver what waits; False if the receiver did not take everything."""
        for message in self._database.undelivered():
            try:
                await self._outside.receiver.post("/api/v2/canary/tell", self._body(message))
            except ReceiverError as error:
                log.warning("canary.not_told", extra={"what": message.what, "error": str(error)})
                await self._page(message)
                return False
            self._database.delivered(message.id, at=self._outside.clock())
        return True

    async def _page(self, refused: Message) -> None:
        """Without the receiver, the fallback channel hears each page once."""
        for message in self._database.undelivered():
            if message.page and message.id >= refused.id:
                await self._outside.paging.page(f"message:{message.id}", message.text)

    def _body(self, message: Message) -> dict[str, object]:
        policy = self._outside.policy.policy
        return {
            "service": policy.service,
            "policy": policy.name,
            "rollout": message.rollout,
            "message": message.id,
            "event": message.what,
            "text": message.text,
            "page": message.page,
        }
