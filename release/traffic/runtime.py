"""What HAProxy's runtime socket answers: nothing to a command that it obeys, and a text to any other."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from receiver.plaintext import plain
from release.traffic.adapter import TrafficError

Ask = Callable[[str], Coroutine[Any, Any, str]]
"""Sends one command to the runtime socket and gives the whole answer. Raises TrafficError."""


async def tell(ask: Ask, command: str) -> None:
    """Send a command that answers nothing. Any text is a refusal."""
    answer = (await ask(command)).strip()
    if answer:
        raise TrafficError(f"HAProxy refuses `{command}`: {plain(answer, 200)}")
