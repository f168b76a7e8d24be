"""Waiting for a condition with a deadline: the only way in which a test may wait."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

T = TypeVar("T")

POLL_S = 0.02


class DeadlinePassedError(AssertionError):
    """The awaited condition never came true; the message names it and its last value."""


def wait_until(cond: Callable[[], T | None], deadline_s: float, what: str, *, poll_s: float = POLL_S) -> T:
    """Poll `cond` until it is true and return its value. A wait of minutes need not poll fifty times a second.

    Raises DeadlinePassedError naming `what` after `deadline_s` seconds. What `cond` raises goes through.
    """
    end = time.monotonic() + deadline_s
    while True:
        value = cond()
        if value:
            return value
        if time.monotonic() >= end:
            raise DeadlinePassedError(_message(deadline_s, what, value))
        time.sleep(poll_s)


@overload
async def until(cond: Callable[[], Awaitable[T | None]], deadline_s: float, what: str, *, poll_s: float = ...) -> T: ...
@overload
async def until(cond: Callable[[], T | None], deadline_s: float, what: str, *, poll_s: float = ...) -> T: ...
async def until(cond: Callable[[], Any], deadline_s: float, what: str, *, poll_s: float = POLL_S) -> Any:
    """As `wait_until`, for the event loop; `cond` may be a plain function or a coroutine function.

    A coroutine that hangs is cancelled at the deadline.
    """
    end = time.monotonic() + deadline_s
    value: object = None
    while True:
        answer = cond()
        if inspect.isawaitable(answer):
            try:
                value = await asyncio.wait_for(answer, max(end - time.monotonic(), POLL_S))
            except TimeoutError:
                raise DeadlinePassedError(_message(deadline_s, what, "no answer yet")) from None
        else:
            value = answer
        if value:
            return value
        if time.monotonic() >= end:
            raise DeadlinePassedError(_message(deadline_s, what, value))
        await asyncio.sleep(poll_s)


def _message(deadline_s: float, what: str, last: object) -> str:
    return f"not within {deadline_s:g} s: {what} (last seen: {last!r})"
