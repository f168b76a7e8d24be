"""Keeps a loop going, whatever one of its passes raises: logged once, counted, shown by health, then tried again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from receiver.context import Context
from receiver.journal import JournalError

T = TypeVar("T")

AGAIN_S = 1.0
"""How long a loop rests after an error."""

LOOP = "loop"
"""The kind of faults that this module reports."""


async def supervise(
    context: Context,
    name: str,
    work: Callable[[], Awaitable[T]],
    rest: Callable[[T], Awaitable[None]],
    *,
    stopping: Callable[[], bool] = lambda: False,
) -> None:
    """Run `work` for ever, with `rest` after each pass, until the task is cancelled or the receiver is `stopping`.

    `rest` gets the result of `work`. An error in either ends neither the loop nor the receiver.
    """
    while not stopping():
        try:
            found = await work()
            succeeded(context, name)
            await rest(found)
        except Exception as error:  # noqa: BLE001 - whatever it is: told, and tried again
            failed(context, name, error)
            await asyncio.sleep(AGAIN_S)


def succeeded(context: Context, name: str) -> None:
    """A pass of a loop went well."""
    context.faults.report(LOOP, name, "")


def failed(context: Context, name: str, error: Exception) -> None:
    """A pass of a loop raised an error. Failures of the journal are foreseen, so they come without a traceback."""
    context.meters.loop_errors.labels(name).inc()
    foreseen = isinstance(error, JournalError)
    why = f"{error}" if foreseen else f"{type(error).__name__}: {error}"
    context.faults.report(LOOP, name, why, error=None if foreseen else error)
