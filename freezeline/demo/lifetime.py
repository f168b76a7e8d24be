"""What both demos begin and end with: a directory, signals that stop the demo, and jobs beside it."""

import asyncio
import contextlib
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from freezeline.demo.programs import DemoError


@contextlib.contextmanager
def directory() -> Iterator[Path]:
    """A temporary directory for everything that the demo writes; removed at the end."""
    root = Path(tempfile.mkdtemp(prefix="freezeline-demo-")).resolve()
    root.chmod(0o711)  # Other users must be able to see the flag, as in production.
    try:
        yield root
    finally:
        shutil.rmtree(root)


@contextlib.contextmanager
def cancelled_by_signals() -> Iterator[None]:
    """INT and TERM cancel the demo, once: a second Ctrl-C does not interrupt the cleaning up."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    signals = (signal.SIGINT, signal.SIGTERM)
    stopped = False

    def stop() -> None:
        nonlocal stopped
        if task is not None and not stopped:
            stopped = True
            task.cancel()

    for number in signals:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)


@asynccontextmanager
async def in_background(*jobs: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Jobs that run as long as the body. A job that fails ends the body, because its observations would be missing."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(job) for job in jobs]
            try:
                yield
            finally:
                for task in tasks:
                    task.cancel()
    except ExceptionGroup as failed:
        raise _first_of(failed) from failed


def _first_of(failed: ExceptionGroup[Exception]) -> Exception:
    """The error to report for failed jobs: the demo's own, or that a program stopped answering."""
    own, others = failed.split(DemoError)
    if own is not None:
        return DemoError(str(own.exceptions[0]))
    unanswered = others.subgroup((aiohttp.ClientError, TimeoutError)) if others else None
    return DemoError(f"a program stopped answering: {unanswered.exceptions[0]!r}") if unanswered else failed
