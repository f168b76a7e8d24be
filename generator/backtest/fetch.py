"""Asks Prometheus for the past: bounded range queries, one after the other, kept on disk so that a run can go on."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from msgspec import Struct

from generator.backtest.grid import Grid, Labels
from generator.text.digest import digest

POINTS_PER_QUERY = 5_000
"""Instants that one answer may hold; Prometheus itself refuses more than 11,000."""

RangeQuery = Callable[[str, int, int, int], Sequence[Any]]
"""Asks for a query from one time to another, so many seconds apart: the matrix, as the API returns it."""

Told = Callable[[int, int], None]


class Fetch(Struct, frozen=True, kw_only=True):
    """How to ask. Answers are kept in `kept`, if a folder is given; `pause_s` lies between two questions."""

    ask: RangeQuery
    told: Told
    kept: Path | None = None
    pause_s: float = 0.0
    sleep: Callable[[float], None] = time.sleep

    def every(self, queries: Sequence[tuple[str, Grid]]) -> list[dict[Labels, list[float]]]:
        """The series of each query on its grid, by labels."""
        total = sum(len(list(chunks(grid))) for _, grid in queries)
        done, found = 0, []
        for query, grid in queries:
            series: dict[Labels, list[float]] = {}
            for first, last in chunks(grid):
                for labels, samples in self._chunk(query, grid.at(first), grid.at(last), grid.step):
                    values = series.setdefault(labels, [math.nan] * grid.count)
                    for at, value in samples:
                        values[round((at - grid.start) / grid.step)] = value
                done += 1
                self.told(done, total)
            found.append(series)
        return found

    def _chunk(self, query: str, start: int, end: int, step: int) -> list[tuple[Labels, list[tuple[float, float]]]]:
        place = None if self.kept is None else self.kept / f"{digest(f'{query} {start} {end} {step}'.encode())}.json"
        if place is not None and place.exists():
            answer = json.loads(place.read_text())
        else:
            answer = list(self.ask(query, start, end, step))
            if place is not None:
                place.parent.mkdir(parents=True, exist_ok=True)
                draft = place.with_suffix(".tmp")
                draft.write_text(json.dumps(answer))
                draft.replace(place)
            self.sleep(self.pause_s)
        return [
            (
                tuple(sorted((name, value) for name, value in one["metric"].items() if name != "__name__")),
                [(float(at), float(value)) for at, value in one["values"]],
            )
            for one in answer
        ]


def chunks(grid: Grid) -> Iterator[tuple[int, int]]:
    """The first and the last instant of each question. The edges lie at whole multiples, however long the past is."""
    size = POINTS_PER_QUERY
    first = 0
    while first < grid.count:
        # A later run, whose past begins later, asks for the same spans again and finds them on disk.
        edge = (grid.at(first) // grid.step // size + 1) * size * grid.step
        last = min(grid.index(edge) - 1, grid.count - 1)
        yield first, last
        first = last + 1
