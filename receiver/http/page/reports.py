"""The reports of rollouts, each made once for all visitors: the report of a long rollout takes half a second."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from msgspec import Struct, field

from receiver.http.incoming import RefusedError
from receiver.rollout_report import Reporter, RolloutReport
from receiver.rollouts import RolloutsError

SAME = timedelta(seconds=20)
"""Visitors share one report for so long."""

CACHED_MAX = 8


class Reports(Struct, kw_only=True):
    """The newest reports that visitors asked for."""

    reporter: Reporter
    clock: Callable[[], datetime]
    _made: dict[tuple[str, str], tuple[datetime, RolloutReport]] = field(default_factory=dict)
    _making: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def of(self, service: str, rollout: str) -> RolloutReport:
        """The report of one rollout. Raises RefusedError."""
        key = service, rollout
        async with self._making:
            now = self.clock()
            self._made = {one: made for one, made in self._made.items() if now - made[0] < SAME}
            if key not in self._made:
                found = await self._ask(service, rollout)
                while len(self._made) >= CACHED_MAX:
                    del self._made[next(iter(self._made))]
                self._made[key] = now, found
            return self._made[key][1]

    async def _ask(self, service: str, rollout: str) -> RolloutReport:
        try:
            found = await asyncio.to_thread(self.reporter, service, rollout)
        except RolloutsError as error:
            raise RefusedError(503, f"The receiver cannot read this rollout: {error}") from error
        if found is None:
            raise RefusedError(404, "No rollout has this number.")
        return found
