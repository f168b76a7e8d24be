"""Sessions in Redis: each is a list of messages that expires 24 hours after its last message."""

import time
from collections.abc import Awaitable
from typing import Any, cast

import msgspec
from redis.asyncio import BlockingConnectionPool, Redis

TTL_S = 24 * 3600
REMEMBERED = 20
"""Messages that the engine reads back as its context."""

POOL = 32
TIMEOUT_S = 2.0
INDEX = "sessions"
"""A sorted set: session → when it expires."""


class Message(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message of a chat. `genre`, `before`, `after` and `films` are what the engine remembers of the message."""

    role: str
    text: str
    at: float
    user: int = -1
    genre: str = ""
    before: int = 0
    after: int = 0
    films: tuple[int, ...] = ()


_ENCODER, _DECODER = msgspec.json.Encoder(), msgspec.json.Decoder(Message)


class Sessions:
    """The store. Every method raises redis.exceptions.RedisError if Redis does not answer."""

    def __init__(self, url: str) -> None:
        self._pool = BlockingConnectionPool.from_url(
            url, max_connections=POOL, timeout=TIMEOUT_S, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S
        )
        self._redis = Redis(connection_pool=self._pool)
        self.size = POOL
        self.in_use = 0

    async def close(self) -> None:
        """Close all connections."""
        await self._redis.aclose()
        await self._pool.disconnect()

    async def ping(self) -> None:
        """Ask whether Redis answers."""
        await self._counted(cast("Awaitable[Any]", self._redis.ping()))

    async def last(self, session: str, count: int = REMEMBERED) -> list[Message]:
        """The last messages, the oldest first; none for an unknown or expired session."""
        found = await self._counted(cast("Awaitable[list[bytes]]", self._redis.lrange(_key(session), -count, -1)))
        return [_DECODER.decode(one) for one in found]

    async def append(self, session: str, *messages: Message) -> None:
        """Append to a session and let the session expire 24 hours from now."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.rpush(_key(session), *[_ENCODER.encode(one) for one in messages])
        pipe.expire(_key(session), TTL_S)
        pipe.zadd(INDEX, {session: time.time() + TTL_S})
        await self._counted(pipe.execute())

    async def whole(self, session: str) -> tuple[list[Message], int]:
        """All messages, and the seconds until the session expires."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.lrange(_key(session), 0, -1)
        pipe.ttl(_key(session))
        found, left_s = await self._counted(pipe.execute())
        return [_DECODER.decode(one) for one in found], left_s

    async def count(self) -> int:
        """How many sessions have not expired."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.zremrangebyscore(INDEX, "-inf", time.time())
        pipe.zcard(INDEX)
        return int((await self._counted(pipe.execute()))[1])

    async def _counted(self, call: Awaitable[Any]) -> Any:
        self.in_use += 1
        try:
            return await call
        finally:
            self.in_use -= 1


def _key(session: str) -> str:
    return f"session:{session}"
