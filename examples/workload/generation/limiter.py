"""Limits requests to the embedding API across all processes, in Redis: 1000 a minute, and 3 at once."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis.asyncio import Redis

from examples.workload.generation.errors import ErrorType, JobError

PER_MINUTE = 1000
AT_ONCE = 3
WINDOW_S = 60.0
STALE_S = 30.0
"""A request that has not ended after this time belongs to a process that is dead."""

PATIENCE_S = 5.0
POLL_S = 0.02

# KEYS: requests of the last minute, requests under way. Returns 0, or the milliseconds to wait. One step for Redis.
TAKE = """
local now, id = tonumber(ARGV[1]), ARGV[2]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - tonumber(ARGV[3]))
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now - tonumber(ARGV[4]))
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[5]) then
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  return math.max(1, math.ceil((tonumber(oldest[2]) + tonumber(ARGV[3]) - now) * 1000))
end
if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[6]) then return -1 end
redis.call('ZADD', KEYS[1], now, id)
redis.call('ZADD', KEYS[2], now, id)
redis.call('PEXPIRE', KEYS[1], 120000)
return 0
"""


class Limiter:
    """One name's limits."""

    def __init__(
        self, redis: Redis, name: str = "embedding", *, per_minute: int = PER_MINUTE, at_once: int = AT_ONCE
    ) -> None:
        self._redis = redis
        self._keys = [f"limit:{name}:minute", f"limit:{name}:now"]
        self._limits = (per_minute, at_once)
        self._take = redis.register_script(TAKE)

    @asynccontextmanager
    async def one(self) -> AsyncIterator[None]:
        """One request. Raises JobError(OWN_RATE_LIMIT) if the minute is full, or no place is free for 5 seconds."""
        request = uuid.uuid4().hex
        end = time.monotonic() + PATIENCE_S
        while wait := int(await self._take(keys=self._keys, args=self._arguments(request))):
            if wait > 0 or time.monotonic() > end:
                raise JobError(ErrorType.OWN_RATE_LIMIT, "the limit is reached", wait_s=max(wait / 1000, 1.0))
            await asyncio.sleep(POLL_S)
        try:
            yield
        finally:
            await self._redis.zrem(self._keys[1], request)

    def _arguments(self, request: str) -> list[str | float]:
        return [time.time(), request, WINDOW_S, STALE_S, *self._limits]
