"""Moves traffic by two commands of the user: one sets the percentage, one prints what the proxy uses."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from receiver.run.commands import Answer, ask
from release.policy.canary import TrafficCommands
from release.traffic.adapter import TrafficError
from release.traffic.percentage import percentage_of


class CommandTraffic:
    """Two commands. `set` gets the canary's percentage as its last argument; `read` prints the percentage."""

    def __init__(self, commands: TrafficCommands, environment: Mapping[str, str]) -> None:
        self._commands = commands
        self._environment = environment

    async def check(self, *, before_deploy: bool = False) -> tuple[str, ...]:  # noqa: ARG002 - the adapters' protocol
        """Whether the proxy can be read."""
        await self.read()
        return ()

    async def read(self) -> Decimal:
        """The share that `read` prints: a percentage from 0 to 100, with or without `%`."""
        answer = await self._run(self._commands.read)
        return percentage_of(answer.output, self._commands.read[0])

    async def set(self, weight: Decimal) -> None:
        """Run `set`, and read the share back."""
        percent = f"{(weight * 100).normalize():f}"
        await self._run((*self._commands.set, percent))
        found = await self.read()
        if found != weight:
            raise TrafficError(f"the proxy uses the weight {found:.2%}, not {weight:.2%}")

    async def cut(self) -> None:
        """Set 0, and read back. Ending sessions is the command's own affair."""
        await self.set(Decimal(0))

    async def _run(self, argv: tuple[str, ...]) -> Answer:
        answer = await ask(argv, timeout_s=self._commands.timeout_s, env=self._environment)
        if not answer.ok:
            raise TrafficError(answer.why)
        return answer
