"""The drill of streams: real connections, the time to the first event, and how many connections were answered."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct

from release.drill.experiment import DrillError, Experiment, Step

SPARE_S = 30.0
P95 = 0.95


class Opened(Struct, frozen=True, kw_only=True):
    """One stream. `first_event_s` counts from the request; `why` says what went wrong, or "" for a whole stream."""

    first_event_s: float | None = None
    why: str = ""


Open = Callable[[], Awaitable[Opened]]
"""Opens one stream and reads the stream to its end."""


class Limits(Struct, frozen=True, kw_only=True):
    """How many streams, how many at once, how long each may take, and what must hold for all of them together."""

    streams: int
    at_once: int
    limit_s: float
    first_event_s: float
    connected: float


class Streams(Struct, kw_only=True):
    """The rehearsal. `opened` has each stream of the method."""

    open: Open
    limits: Limits
    opened: list[Opened]

    def experiment(self) -> Experiment:
        """One stream is answered before and after; between them, all streams."""
        rounds = math.ceil(self.limits.streams / self.limits.at_once)
        one = self.limits.limit_s + SPARE_S
        return Experiment(
            steady_state=(Step(title="a stream is answered", do=self._one, limit_s=one),),
            method=(
                Step(title="streams", do=self._all, limit_s=rounds * self.limits.limit_s + SPARE_S),
                Step(title="connections", do=self._connections),
                Step(title="first event", do=self._first_event),
            ),
            rollbacks=(),
        )

    @property
    def connected(self) -> float | None:
        """The share of the streams that were answered; None before the first stream."""
        return sum(not one.why for one in self.opened) / len(self.opened) if self.opened else None

    @property
    def first_event_s(self) -> float | None:
        """The 95th percentile of the time to the first event; None if no stream had an event."""
        return percentile([one.first_event_s for one in self.opened if one.first_event_s is not None], P95)

    async def _one(self) -> None:
        found = await self.open()
        if found.why:
            raise DrillError(found.why)

    async def _all(self) -> None:
        free = asyncio.Semaphore(self.limits.at_once)

        async def one() -> None:
            async with free:
                self.opened.append(await self.open())

        async with asyncio.TaskGroup() as group:
            for _ in range(self.limits.streams):
                group.create_task(one())

    async def _connections(self) -> float:
        connected = self.connected or 0.0
        if connected < self.limits.connected:
            whys = [one.why for one in self.opened if one.why]
            raise DrillError(
                f"{connected:.1%} of {len(self.opened)} streams were answered, "
                f"less than {self.limits.connected:.1%}: {whys[0]}"
            )
        return connected

    async def _first_event(self) -> float:
        p95_s = self.first_event_s
        if p95_s is None:
            raise DrillError("no stream had an event")
        if p95_s > self.limits.first_event_s:
            raise DrillError(f"95 % of the first events came within {p95_s:.3f} s, not {self.limits.first_event_s:g} s")
        return p95_s


def percentile(values: Sequence[float], share: float) -> float | None:
    """The smallest value that at least this share of the values does not exceed; None without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
