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


class Job(Struct, Generic[T], eq=False):
    """One piece of work. `about` are the alerts that the work will read; None before its preparation."""

    work: Callable[[Tx], T]
    done: asyncio.Future[T]
    prepare: Callable[[], Sequence[str]] | None = None
    about: Sequence[str] | None = None
    result: Any = None
    error: BaseException | None = None

    def answer(self) -> Answer:
        """What the caller gets."""
        return Answer(done=self.done, result=self.result, error=self.error)


class Answer(Struct, eq=False):
    """The end of a piece of work. The work itself stays with the writer: who made what it holds frees this too."""

    done: asyncio.Future[Any]
    result: Any
    error: BaseException | None


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
    return group, [job for job in group if job.error is None]


def _prepare(job: Job[Any]) -> bool:
    """Run a job's preparation. False if it failed; the caller then has the error."""
    try:
        job.about = job.prepare() if job.prepare is not None else ()
    except Exception as error:  # noqa: BLE001 - handed to the caller, whose future raises it
        job.error = error
        return False
    return True
