"""Places panels on Grafana's grid of 24 columns: a section has lines, a line columns, a column stacked panels."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from generator.panels.base import Json

COLUMNS = 24

Column = Sequence[Json]  # stacked from top to bottom
Line = Sequence[Column]  # side by side


class Section(Struct, frozen=True, kw_only=True):
    """A row that can be folded, with its panels. Grafana queries nothing for a folded section until it is opened."""

    title: str
    lines: tuple[Line, ...]
    folded: bool = False


def place(sections: Sequence[Section]) -> list[Json]:
    """All panels with `id` and full `gridPos`, top to bottom. Every line fills at most 24 columns."""
    placed: list[Json] = []
    next_id, top = 1, 0
    for section in sections:
        row: Json = {
            "type": "row",
            "title": section.title,
            "id": next_id,
            "collapsed": section.folded,
            "gridPos": {"h": 1, "w": COLUMNS, "x": 0, "y": top},
            "panels": [],
        }
        top, next_id = top + 1, next_id + 1
        inner: list[Json] = []
        below = top
        for line in section.lines:
            inner += _place_line(line, below, next_id + len(inner))
            below = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in inner)
        next_id += len(inner)
        if section.folded:
            row["panels"] = inner
            placed.append(row)
        else:
            placed += [row, *inner]
            top = below
    return placed


def _place_line(line: Line, top: int, first_id: int) -> list[Json]:
    placed: list[Json] = []
    left = 0
    for column in line:
        y = top
        for panel in column:
            size = panel["gridPos"]
            placed.append(panel | {"id": first_id + len(placed), "gridPos": size | {"x": left, "y": y}})
            y += size["h"]
        left += max(panel["gridPos"]["w"] for panel in column)
    if left > COLUMNS:
        raise ValueError(f"a line of panels is {left} columns wide")
    return placed


def spread(count: int, total: int = COLUMNS) -> list[int]:
    """Widths that fill a line, as equal as whole columns allow."""
    return [total // count + (index < total % count) for index in range(count)]


def in_lines(count: int, at_most: int) -> list[int]:
    """How many of `count` equal panels go into each line: as few lines, and as even, as possible."""
    return spread(-(-count // at_most), count) if count else []
