"""The drill of the provider chain: while one provider is left, no fault of the others may fail a user's request."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct

from release.drill.experiment import DrillError, Experiment, Step
from release.drill.provider_faults import Fault, StandIn

STEADY_LIMIT_S = 120.0
AGAIN_S = 0.2
"""Seconds before the drill asks again, while the service still leaves a provider alone."""


class Scenario(Struct, frozen=True, kw_only=True):
    """One fault, and the providers that have it: the first of the chain."""

    fault: Fault
    broken: tuple[str, ...]

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.fault}: {', '.join(self.broken)}"


class Answers(Struct, frozen=True, kw_only=True):
    """How users' requests went: how many, the reasons of failures, and the longest time of a success.

    `unasked` are the broken providers that the service asked in none of these requests.
    """

    sent: int
    failed: tuple[str, ...]
    worst_s: float
    unasked: tuple[str, ...] = ()


Ask = Callable[[], Awaitable[None]]
"""One request of a user. Raises DrillError with the reason where the request fails."""


def scenarios(chain: Sequence[str], faults: Sequence[Fault], *, local: bool) -> list[Scenario]:
    """Each fault with one, two, … broken providers, as long as one is left; with a local answer, also with all."""
    most = len(chain) if local else len(chain) - 1
    return [Scenario(fault=fault, broken=tuple(chain[:count])) for fault in faults for count in range(1, most + 1)]


class Fallback(Struct, kw_only=True):
    """A chain of stand-ins, and requests of a user that must all be answered.

    Services leave a provider that failed alone for a while. Under each fault, the drill therefore asks on for at most
    `rest_s` seconds, until the service has asked every broken provider.
    """

    stand_ins: Mapping[str, StandIn]
    planned: Sequence[Scenario]
    ask: Ask
    requests: int
    limit_s: float
    rest_s: float
    answers: dict[str, Answers] = {}

    def experiment(self) -> Experiment:
        """Requests succeed before, under each fault, and after."""
        longest_s = self.requests * self.limit_s + self.rest_s + STEADY_LIMIT_S
        return Experiment(
            steady_state=(Step(title="requests succeed", do=self._steady, limit_s=STEADY_LIMIT_S),),
            method=tuple(Step(title=one.title, do=self._under(one), limit_s=longest_s) for one in self.planned),
            rollbacks=(Step(title="every provider works", do=self._healed),),
        )

    async def _steady(self) -> None:
        before, end = self._reached(), time.monotonic() + (self.rest_s if self.answers else 0.0)
        await self.ask()
        while self._reached() == before:
            if time.monotonic() >= end:
                raise DrillError("the request reached no stand-in: tell the service their addresses")
            await asyncio.sleep(AGAIN_S)
            await self.ask()

    def _reached(self) -> int:
        """How many requests have reached the stand-ins."""
        return sum(one.requests for one in self.stand_ins.values())

    def _under(self, scenario: Scenario) -> Callable[[], Awaitable[float]]:
        async def carried_out() -> float:
            for name, stand_in in self.stand_ins.items():
                stand_in.fault = scenario.fault if name in scenario.broken else None
            found = await self._asked([self.stand_ins[name] for name in scenario.broken])
            self.answers[scenario.title] = found
            if found.failed:
                raise DrillError(f"{len(found.failed)} of {found.sent} requests failed: {found.failed[0]}")
            if found.unasked:
                named = ", ".join(found.unasked)
                raise DrillError(f"the service did not ask {named} within {self.rest_s:g} s: nothing was rehearsed")
            return found.worst_s

        return carried_out

    async def _asked(self, broken: Sequence[StandIn]) -> Answers:
        before = {one.provider.name: one.requests for one in broken}
        failed, worst_s, sent, end = [], 0.0, 0, time.monotonic() + self.rest_s

        def unasked() -> tuple[str, ...]:
            return tuple(one.provider.name for one in broken if one.requests == before[one.provider.name])

        while sent < self.requests or (unasked() and time.monotonic() < end):
            if sent >= self.requests:
                await asyncio.sleep(AGAIN_S)
            sent += 1
            begun = time.monotonic()
            try:
                await self.ask()
            except DrillError as error:
                failed.append(str(error))
            else:
                worst_s = max(worst_s, time.monotonic() - begun)
        return Answers(sent=sent, failed=tuple(failed), worst_s=worst_s, unasked=unasked())

    async def _healed(self) -> None:
        for stand_in in self.stand_ins.values():
            stand_in.fault = None
