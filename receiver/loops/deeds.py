"""The loops that act for all receivers: only a leader runs these, or a receiver with a journal of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from receiver.act import found
from receiver.context import Context
from receiver.loops.worker import Worker


class Part(Protocol):
    """A loop of the receiver."""

    def start(self) -> None:
        """Begin."""

    async def stop(self) -> None:
        """End."""


class Deeds:
    """The worker and the other loops, in the order of their start. The loops end in this order, and the worker last."""

    def __init__(self, context: Context, worker: Worker, parts: Sequence[Part]) -> None:
        self._context = context
        self._worker = worker
        self._parts = parts
        self._started = False

    async def take_over(self) -> None:
        """Begin to lead: take up flags that the journal does not know, then start. Raises JournalError."""
        await found.take_up_all(self._context)
        await self.start()

    async def start(self) -> None:
        """Start the worker, then the other loops. Raises JournalError."""
        self._started = True
        self._context.meters.reconciles()
        await self._worker.start()
        for part in self._parts:
            part.start()

    async def stop(self, *, wait_s: float) -> None:
        """Stop the other loops, then the worker, whose running actions have so many seconds to finish."""
        if not self._started:
            return
        for part in self._parts:
            await part.stop()
        await self._worker.stop(wait_s=wait_s)
