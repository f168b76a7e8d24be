"""Pieces of work on their way to the writer, and how many of them one transaction takes."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct

from receiver.journal.tx import Tx

T = TypeVar("T")

GROUP_MAX = 256
"""Most pieces of work in one commit."""

QUIET_TURNS = 2
"""Turns of the event loop without new work, after which the writer is woken.

Writer and event loop share the interpreter's lock. A writer that wakes while requests are still being read fights for
the lock and commits fewer pieces at a time. The measured cost: a tenth more processor time per webhook.
"""

GATHER_MAX_S = 0.005
"""The longest time that work waits before the writer is woken, however busy the event loop is."""

ALERTS_MAX = 1000
"""The most alerts in one transaction, unless a single piece of work brings more."""


class Answer(Struct, eq=False):
    """What the caller of a piece of work waits for, and what the caller gets."""

    done: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None

    def give(self) -> None:
        """Hand over the result or the error, unless the caller has either already, or has given up."""
        if self.done.done():
            return
        if self.error is not None:
            self.done.set_exception(self.error)
        else:
            self.done.set_result(self.result)


class Job(Struct, Generic[T], eq=False):
    """One piece of work. `about` are the alerts that the work will read; None before its preparation.

    The answer alone goes back to the event loop. The work stays with the writer: who made what it holds frees this too.
    """

    work: Callable[[Tx], T]
    answer: Answer
    prepare: Callable[[], Sequence[str]] | None = None
    about: Sequence[str] | None = None


class Inbox:
    """The way of work from the event loop to the writer's thread. A writer takes lists of work; None is the end."""

    def __init__(self, group_max: int) -> None:
        self._group_max = group_max
        self._lists: queue.SimpleQueue[list[Job[Any]] | None] = queue.SimpleQueue()
        self._handed_in: list[Job[Any]] = []

    # the event loop

    def put(self, job: Job[Any], loop: asyncio.AbstractEventLoop) -> None:
        """Hand in a piece of work. The writer is woken once for all work of a few turns of the event loop."""
        if not self._handed_in:
            loop.call_soon(self._gather, loop, 0, 0, loop.time() + GATHER_MAX_S)
        self._handed_in.append(job)

    def _gather(self, loop: asyncio.AbstractEventLoop, before: int, quiet: int, until: float) -> None:
        count = len(self._handed_in)
        quiet = quiet + 1 if count == before else 0
        if quiet < QUIET_TURNS and count < self._group_max and loop.time() < until:
            loop.call_soon(self._gather, loop, count, quiet, until)
        else:
            self._hand_over()

    def _hand_over(self) -> None:
        jobs, self._handed_in = self._handed_in, []
        if jobs:
            self._lists.put(jobs)

    def end(self) -> None:
        """Hand over what was handed in, and say that no more comes."""
        self._hand_over()
        self._lists.put(None)

    def left(self) -> list[Job[Any]]:
        """Whatever the writer did not take, and will not take any more."""
        self._hand_over()
        found: list[Job[Any]] = []
        with contextlib.suppress(queue.Empty):
            while True:
                found += self._lists.get_nowait() or ()
        return found

    # other threads

    def wake(self) -> None:
        """Have the writer look whether others have committed."""
        self._lists.put([])

    def take(self, timeout_s: float | None) -> list[Job[Any]] | None:
        """The next work, after a wait; None at the end. Raises Empty if none came, or another writer has committed."""
        jobs = self._lists.get(timeout=timeout_s)
        if jobs is not None and not jobs:
            raise queue.Empty
        return self._again_at_end(jobs)

    def take_waiting(self) -> list[Job[Any]] | None:
        """The next work that is there; None at the end. Raises Empty."""
        return self._again_at_end(self._lists.get_nowait())

    def _again_at_end(self, jobs: list[Job[Any]] | None) -> list[Job[Any]] | None:
        """The end stays, however often it is taken."""
        if jobs is None:
            self._lists.put(None)
        return jobs


def prepared(group: list[Job[Any]]) -> tuple[list[Job[Any]], list[Job[Any]]]:
    """Run preparations until there are enough alerts: the jobs that had their turn, and those without an error."""
    alerts = 0
    for number, job in enumerate(group, start=1):
        if job.about is None and not _prepare(job):
            continue
        alerts += len(job.about or ())
        if alerts >= ALERTS_MAX:
            group = group[:number]
            break
    return group, [job for job in group if job.answer.error is None]


def _prepare(job: Job[Any]) -> bool:
    """Run a job's preparation. False if it failed; the caller then has the error."""
    try:
        job.about = job.prepare() if job.prepare is not None else ()
    except Exception as error:  # noqa: BLE001 - handed to the caller, whose future raises it
        job.answer.error = error
        return False
    return True
