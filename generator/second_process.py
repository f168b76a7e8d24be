"""Work for a second processor: a forked process computes something while this one goes on.

Nothing may depend on it: whoever asks for help does the work itself where there is one processor, or help dies.
"""

from __future__ import annotations

import marshal
import os
from collections.abc import Callable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


_THREADS = "/proc/self/task"


def processors() -> int:
    """How many processors this process may use, by itself and by copies; one where it must not be copied.

    A copy of a process with threads could wait for ever for a lock that one of them held. Where threads cannot be
    counted (not Linux), there is no copy either.
    """
    if not hasattr(os, "sched_getaffinity") or not os.path.isdir(_THREADS) or len(os.listdir(_THREADS)) > 1:
        return 1
    return len(os.sched_getaffinity(0))


class DiedError(Exception):
    """The second process ended without an answer."""


class SecondProcess:
    """Computes `work()` in a process that begins as a copy of this one.

    What it returns must be plain (texts, bytes, numbers, tuples, lists, dicts of these).
    """

    def __init__(self, work: Callable[[], Any]) -> None:
        self._answer, answer_in = os.pipe()
        self._process = os.fork()
        if self._process == 0:
            _answer(work, answer_in)
        os.close(answer_in)

    def result(self) -> Any:
        """What `work` returned. Raises DiedError, also where `work` raised: doing it again here will tell why."""
        with os.fdopen(self._answer, "rb") as stream:
            answer = stream.read()
        _, status = os.waitpid(self._process, 0)
        if status != 0:
            raise DiedError
        return marshal.loads(answer)  # noqa: S302 - from our own child


def _answer(work: Callable[[], Any], answer_in: int) -> None:
    """The second process: answer, and leave without touching what the two share, such as unwritten output."""
    code = 1
    try:
        with os.fdopen(answer_in, "wb") as stream:
            stream.write(marshal.dumps(work()))
        code = 0
    finally:
        os._exit(code)
