"""Runs an experiment: the steady state holds, the method is carried out, the steady state holds again.

The rollbacks of an experiment always run once its method has begun, also after a failure or a cancellation. Everything
that an experiment does is passed in as functions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from msgspec import Struct


class DrillError(Exception):
    """A step of a drill failed, or the steady state does not hold. The message says what is wrong."""


class Step(Struct, frozen=True, kw_only=True):
    """Something to check or to do within `limit_s`. `do` raises DrillError where that fails.

    `do` may return the seconds that the step measured itself. Without them, the step's own time counts.
    """

    title: str
    do: Callable[[], Awaitable[float | None]]
    limit_s: float = 30.0


class Experiment(Struct, frozen=True, kw_only=True):
    """What must hold before and after, what is done, and how everything is put back."""

    steady_state: tuple[Step, ...]
    method: tuple[Step, ...]
    rollbacks: tuple[Step, ...]


class Took(Struct, frozen=True, kw_only=True):
    """A step that ended: its seconds, and what went wrong, or ""."""

    title: str
    took_s: float
    why: str = ""


class Outcome(Struct, frozen=True, kw_only=True):
    """Every step that was carried out, in order. `began` says that the method was begun."""

    before: tuple[Took, ...]
    began: bool
    method: tuple[Took, ...] = ()
    after: tuple[Took, ...] = ()
    rollbacks: tuple[Took, ...] = ()

    @property
    def why(self) -> tuple[str, ...]:
        """What went wrong, one sentence for each step that failed."""
        steps = (*self.before, *self.method, *self.after, *self.rollbacks)
        return tuple(f"{step.title}: {step.why}" for step in steps if step.why)

    @property
    def ok(self) -> bool:
        """Whether everything was carried out, and nothing went wrong."""
        return self.began and not self.why

    @property
    def legs(self) -> dict[str, float]:
        """The seconds of each step of the method that succeeded."""
        return {step.title: step.took_s for step in self.method if not step.why}


Told = Callable[[str, Took], None]
"""Gets the part of the experiment, and each of its steps that has ended."""


async def run(experiment: Experiment, told: Told = lambda _part, _took: None) -> Outcome:
    """Carry an experiment out. Where the steady state does not hold at first, nothing is done at all."""
    before = await _every("steady state", experiment.steady_state, told, stop=True)
    if any(step.why for step in before):
        return Outcome(before=before, began=False)
    rollbacks: tuple[Took, ...] = ()
    try:
        method = await _every("method", experiment.method, told, stop=True)
    finally:
        # A task of its own: whoever cancels the drill must still find everything put back.
        putting_back = asyncio.create_task(_every("rollbacks", experiment.rollbacks, told, stop=False))
        rollbacks = await _to_its_end(putting_back)
    after = await _every("steady state", experiment.steady_state, told, stop=False)
    return Outcome(before=before, began=True, method=method, after=after, rollbacks=rollbacks)


async def _to_its_end(task: asyncio.Task[tuple[Took, ...]]) -> tuple[Took, ...]:
    """Wait for a task, also while this task is being cancelled. The cancellation comes through afterwards."""
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    return task.result()


async def _every(part: str, steps: Sequence[Step], told: Told, *, stop: bool) -> tuple[Took, ...]:
    """Carry out steps one after the other. With `stop`, none after the first that fails."""
    done: list[Took] = []
    for step in steps:
        took = await _one(step)
        told(part, took)
        done.append(took)
        if stop and took.why:
            break
    return tuple(done)


async def _one(step: Step) -> Took:
    begun, measured, why = time.monotonic(), None, ""
    try:
        async with asyncio.timeout(step.limit_s):
            measured = await step.do()
    except TimeoutError:
        why = f"not within {step.limit_s:g} s"
    except (DrillError, OSError) as error:
        why = str(error)
    return Took(title=step.title, took_s=time.monotonic() - begun if measured is None else measured, why=why)
