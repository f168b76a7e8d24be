"""The same thing done in several threads at one moment."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

THREADS = 3


def at_once(work: Callable[[], object]) -> list[BaseException]:
    """Do it in several threads that begin together; what failed."""
    start = threading.Barrier(THREADS)

    def one() -> None:
        start.wait()
        work()

    with ThreadPoolExecutor(THREADS) as pool:
        done = [pool.submit(one) for _ in range(THREADS)]
        return [error for error in (one.exception() for one in done) if error is not None]
