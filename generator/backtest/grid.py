"""The instants of a backtest, and series on them. Times are seconds since 1970; a missing sample is NaN."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

POINTS_MAX = 100_000
"""The most instants of one backtest: more would neither be read nor be asked for gently."""

Labels = tuple[tuple[str, str], ...]


class Grid(Struct, frozen=True, kw_only=True):
    """Instants from `start` on, `step` apart. The instants before `first` are only read by windows."""

    start: int
    step: int
    count: int
    first: int

    def at(self, index: int) -> int:
        """The time of an instant."""
        return self.start + index * self.step

    @property
    def end(self) -> int:
        """The time of the last instant."""
        return self.at(self.count - 1)

    def index(self, at: float) -> int:
        """The first instant that is not before a time."""
        return max(0, math.ceil((at - self.start) / self.step))


class Interval(Struct, frozen=True, kw_only=True):
    """A time from its first instant up to the first instant after. `open`: the backtest ended meanwhile."""

    start: int
    end: int
    open: bool = False

    @property
    def seconds(self) -> int:
        """How long."""
        return self.end - self.start


def step_of(seconds: int, every_s: int, base_s: int) -> int:
    """The shortest step of whole evaluations that divides the base window and keeps the instants few."""
    fitting = [step for step in range(every_s, base_s + 1, every_s) if base_s % step == 0]
    return next((step for step in fitting if seconds // step <= POINTS_MAX), fitting[-1] if fitting else every_s)


def intervals(grid: Grid, true: Sequence[bool], *, hold_s: float = 0) -> Iterator[Interval]:
    """The times in which a condition is true, each from `hold_s` after its beginning; none before `grid.first`."""
    begun: int | None = None
    for index in range(grid.count + 1):
        holds = index < grid.count and true[index]
        if holds and begun is None:
            begun = index
        if not holds and begun is not None:
            fires = max(grid.index(grid.at(begun) + hold_s), grid.index(grid.first))
            if fires < index:
                is_open = index == grid.count
                yield Interval(start=grid.at(fires), end=grid.at(index - is_open), open=is_open)
            begun = None
