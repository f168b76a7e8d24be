"""The server's time between two of its answers. The wall clock of this machine may be wrong, or be set meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

SAME = timedelta(seconds=1)
"""An answer takes less. A server whose time is further behind has another clock, or its clock was set."""


class ServerClock:
    """The server's time, carried on by the monotonic clock, which nobody sets.

    An answer's time is a little late when the answer arrives. The answer that was fastest tells most.
    """

    def __init__(self, elapsed: Callable[[], float] = time.monotonic) -> None:
        self._elapsed = elapsed
        self._start: datetime | None = None  # the server's time at zero of the monotonic clock

    def read(self, at: datetime) -> None:
        """The server has just said this time."""
        start = at.astimezone(UTC) - timedelta(seconds=self._elapsed())
        if self._start is None or not self._start - SAME < start <= self._start:
            self._start = start

    def now(self, otherwise: datetime) -> datetime:
        """The server's time; `otherwise` before the server's first answer."""
        return otherwise if self._start is None else self._start + timedelta(seconds=self._elapsed())
