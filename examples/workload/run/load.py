"""Users of the assistant: mostly recommendations, and some chats. The load is light: its aim is something to watch."""

import asyncio
import itertools
import random
from collections.abc import Mapping
from typing import Any

import aiohttp
from msgspec import Struct

TIMEOUT_S = 5.0
CHATS_AMONG = 5
"""Each n-th request is a message of a chat."""

SENTENCES = ("a comedy before 1990", "more", "why?", "some drama", "another one", "something since 2000")


class Load(Struct, kw_only=True):
    """Sends `per_second` requests evenly, and counts how many failed."""

    http: aiohttp.ClientSession
    url: str
    per_second: float
    users: int = 500
    sent: int = 0
    failed: int = 0

    async def run(self) -> None:
        """Send until cancelled. A slow answer delays no other request."""
        draw, clock = random.Random(1), asyncio.get_running_loop().time  # noqa: S311 - which user asks is no secret
        due_at = clock()
        async with asyncio.TaskGroup() as under_way:
            for number in itertools.count():
                due_at = max(due_at + 1 / self.per_second, clock() - 1)
                await asyncio.sleep(max(due_at - clock(), 0))
                user = draw.randrange(self.users)
                if number % CHATS_AMONG:
                    under_way.create_task(self._post("recommendations", {"user_id": user}))
                else:
                    said = {"message": draw.choice(SENTENCES), "user_id": user, "session_id": f"user-{user}"}
                    under_way.create_task(self._post("chat", said))

    async def _post(self, name: str, body: Mapping[str, Any]) -> None:
        self.sent += 1
        try:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            async with self.http.post(f"{self.url}/api/v2/{name}", json=dict(body), timeout=timeout) as answer:
                await answer.read()
                self.failed += answer.status >= 500
        except (aiohttp.ClientError, TimeoutError):
            self.failed += 1
