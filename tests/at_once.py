"""The same thing done in several threads at one moment."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

THREADS = 3

T = TypeVar("T")


def at_once(work: Callable[[T], object], on: T) -> list[BaseException]:
    """Do the same work on the same thing in several threads that begin together; what failed."""
    start = threading.Barrier(THREADS)

    def one() -> None:
        start.wait()
        work(on)

    with ThreadPoolExecutor(THREADS) as pool:
        done = [pool.submit(one) for _ in range(THREADS)]
        return [error for error in (one.exception() for one in done) if error is not None]
