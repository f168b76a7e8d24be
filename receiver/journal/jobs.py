"""Pieces of work on their way to the writer, and how many of them one transaction takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

from msgspec import Struct

from receiver.journal.tx import Tx

T = TypeVar("T")

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
