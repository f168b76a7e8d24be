"""Waiting ends with the condition or with the deadline, never later."""

import asyncio
import time

import pytest

from tests.waiting import DeadlinePassedError, until, wait_until


def test_wait_until_returns_the_value() -> None:
    """The first true value is the answer."""
    values = iter([0, 0, 7])
    assert wait_until(lambda: next(values), 5, "seven") == 7


def test_wait_until_names_what_was_awaited() -> None:
    """The error says what never came, and what was seen last."""
    with pytest.raises(DeadlinePassedError, match=r"not within 0\.1 s: rain \(last seen: 0\)"):
        wait_until(lambda: 0, 0.1, "rain")


async def test_until_takes_coroutines() -> None:
    """A coroutine function is awaited each time."""
    values = iter([None, 7])

    async def draw() -> int | None:
        return next(values)

    assert await until(draw, 5, "seven") == 7


async def test_until_cancels_a_condition_that_hangs() -> None:
    """A condition that never answers does not hold the test past the deadline."""
    begun = time.monotonic()
    with pytest.raises(DeadlinePassedError, match="no answer yet"):
        await until(lambda: asyncio.sleep(60, result=True), 0.2, "an answer")
    assert time.monotonic() - begun < 5
