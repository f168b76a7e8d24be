"""Graphs as lines in a box of 1000 × 200, drawn on the server. Pure: numbers in, texts of SVG paths out."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal

from msgspec import Struct

WIDTH, HEIGHT = 1000.0, 200.0


class Mark(Struct, frozen=True, kw_only=True):
    """Something that happened. `kind` is alert, freeze, rollback, unfreeze or release, and names the line's class."""

    at: datetime
    kind: str
    text: str


class Drawn(Struct, frozen=True, kw_only=True):
    """A mark inside the graph: its place, and its number in the list below."""

    x: float
    number: int
    kind: str
    time: str
    text: str


class Graph(Struct, frozen=True, kw_only=True):
    """One line. `limit_y` is None without a limit; `empty` says that there is no point to draw."""

    title: str
    path: str
    limit_y: float | None
    limit: str
    top: str
    bottom: str
    start: str
    end: str
    marks: tuple[Drawn, ...]
    empty: bool
    now: str


def graph(
    title: str,
    points: Sequence[tuple[float, Decimal]],
    *,
    start_s: float,
    end_s: float,
    shown: Callable[[float], str],
    limit: float | None = None,
    marks: Iterable[Mark] = (),
    floor: float | None = 0.0,
) -> Graph:
    """Draw a line. Gaps and NaN break it. Of many marks at one place the first is drawn."""
    values = [(at_s, float(value)) for at_s, value in points if value.is_finite() and start_s <= at_s <= end_s]
    heights = [value for _, value in values] + ([limit] if limit is not None else [])
    low = min([*heights, *([floor] if floor is not None else [])], default=0.0)
    high = max(heights, default=1.0)
    room = (high - low) * 0.08 or abs(high) * 0.1 or 1.0
    high = high + room
    step_s = _step(values)

    def place(at_s: float, value: float) -> tuple[float, float]:
        x = (at_s - start_s) / (end_s - start_s) * WIDTH
        return round(x, 1), round(HEIGHT - (value - low) / (high - low) * HEIGHT, 1)

    return Graph(
        title=title,
        path=_path(values, place, step_s),
        limit_y=place(start_s, limit)[1] if limit is not None else None,
        limit=shown(limit) if limit is not None else "",
        top=shown(high - room),
        bottom=shown(low),
        start=_time(start_s, end_s - start_s),
        end=_time(end_s, end_s - start_s),
        marks=_drawn(marks, start_s, end_s),
        empty=not values,
        now=shown(values[-1][1]) if values else "",
    )


def _path(
    values: Sequence[tuple[float, float]], place: Callable[[float, float], tuple[float, float]], step_s: float
) -> str:
    parts, before_s = [], -math.inf
    for at_s, value in values:
        x, y = place(at_s, value)
        parts.append(f"{'L' if at_s - before_s <= 1.5 * step_s else 'M'}{x:g} {y:g}")
        before_s = at_s
    return "".join(parts)


def _step(values: Sequence[tuple[float, float]]) -> float:
    """The usual distance of two points: anything longer is a gap."""
    gaps = sorted(later[0] - earlier[0] for earlier, later in itertools.pairwise(values))
    return gaps[len(gaps) // 2] if gaps else 0.0


def _drawn(marks: Iterable[Mark], start_s: float, end_s: float) -> tuple[Drawn, ...]:
    found: list[Drawn] = []
    for mark in sorted(marks, key=lambda mark: mark.at):
        at_s = mark.at.timestamp()
        if start_s <= at_s <= end_s:
            x = round((at_s - start_s) / (end_s - start_s) * WIDTH, 1)
            time = _time(at_s, end_s - start_s)
            found.append(Drawn(x=x, number=len(found) + 1, kind=mark.kind, time=time, text=mark.text))
    return tuple(found[-MARKS_MAX:])


MARKS_MAX = 40


def _time(at_s: float, span_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%H:%M" if span_s <= 86400 else "%d %b %H:%M")
