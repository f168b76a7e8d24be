"""What an adapter can do: set a weight, read the weight back from the running proxy, and cut the canary off."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Protocol

Reached = Callable[[str], None]
"""Is told the name of each boundary at which a kill must do no harm; for tests."""


def pass_by(_name: str) -> None:
    """Do nothing."""


class TrafficError(Exception):
    """The proxy did not do what it was told, or could not be asked. The message is text for people."""


class Traffic(Protocol):
    """One service's traffic split. Weights are ratios of the canary, from 0 to 1."""

    async def check(self, *, before_deploy: bool = False) -> tuple[str, ...]:
        """Reasons why this proxy cannot split the traffic as asked; empty if it can. Raises TrafficError.

        `before_deploy`: the canary's servers need not run yet.
        """

    async def read(self) -> Decimal:
        """The weight that the running proxy uses now. Raises TrafficError."""

    async def set(self, weight: Decimal) -> None:
        """Set the weight and read it back. Raises TrafficError where the proxy uses another weight afterwards."""

    async def cut(self) -> None:
        """Take all traffic off the canary, sessions included, and read back. Safe to repeat. Raises TrafficError."""
