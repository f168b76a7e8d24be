"""The outcome of a backtest as one page: a bar for each alert and freeze, and a line for each budget. No network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from html import escape

from generator.backtest.grid import Grid, Interval
from generator.backtest.past import Backtest
from generator.backtest.slos import Budget
from generator.backtest.table import lines, stamp

WIDTH, LEFT, ROW, CHART = 960, 300, 22, 120
POINTS = 600
"""A line has at most so many points; each shows the least budget of its time."""

COLOURS = {"critical": "#c4162a", "warning": "#e0a000", "info": "#5794f2", "freeze": "#3274d9"}
STYLE = (
    "body{font:14px sans-serif;margin:2em;color:#222}svg{background:#fafafa;border:1px solid #ddd}"
    "text{font:12px sans-serif}pre{background:#f4f4f4;padding:1em;overflow:auto}"
)


def render(found: Backtest) -> str:
    """The page."""
    rows = [("frozen", found.frozen, "freeze")]
    rows += [(one.name, one.intervals, one.labels.get("severity", "info")) for one in found.firings]
    title = escape(f"Backtest of {found.spec.service}")
    charts = "\n".join(_chart(found, grid, budget) for grid, budget in found.budgets)
    head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
    return (
        f'<!DOCTYPE html><html lang="en"><head>{head}</head>'
        f"<body><h1>{title}</h1><p>{stamp(found.start)} to {stamp(found.end)}, {escape(found.spec.reference)}</p>"
        f"{_timeline(found, rows)}\n{charts}<pre>{escape(chr(10).join(lines(found)))}</pre></body></html>\n"
    )


def _x(found: Backtest, at: float) -> float:
    share = (at - found.start) / max(1, found.end - found.start)
    return LEFT + min(1.0, max(0.0, share)) * (WIDTH - LEFT)


def _timeline(found: Backtest, rows: Sequence[tuple[str, Sequence[Interval], str]]) -> str:
    height = ROW * (len(rows) + 1)
    drawn = [f'<svg width="{WIDTH}" height="{height}" role="img" aria-label="alerts and freezes over time">']
    for number, (name, some, kind) in enumerate(rows):
        top = ROW * number
        drawn.append(f'<text x="6" y="{top + 15}">{escape(name)}</text>')
        drawn += [_bar(found, one, top, COLOURS.get(kind, COLOURS["info"])) for one in some]
        drawn.append(f'<line x1="0" x2="{WIDTH}" y1="{top + ROW}" y2="{top + ROW}" stroke="#ddd"/>')
    drawn += _axis(found, height)
    return "".join([*drawn, "</svg>"])


def _bar(found: Backtest, one: Interval, top: int, colour: str) -> str:
    left = _x(found, one.start)
    width = max(1.5, _x(found, one.end) - left)
    said = f"{stamp(one.start)} to {'the end' if one.open else stamp(one.end)}"
    return (
        f'<rect x="{left:.1f}" y="{top + 4}" width="{width:.1f}" height="{ROW - 8}" fill="{colour}">'
        f"<title>{said}</title></rect>"
    )


def _axis(found: Backtest, height: int) -> Iterator[str]:
    for part in range(5):
        at = found.start + (found.end - found.start) * part // 4
        anchor = "end" if part == 4 else "start"
        yield f'<text x="{_x(found, at):.0f}" y="{height - 6}" text-anchor="{anchor}">{stamp(at)[5:16]}</text>'


def _chart(found: Backtest, grid: Grid, budget: Budget) -> str:
    """The budget from 1 down to 0, or lower where more was spent than there was."""
    known = list(_thinned(grid, budget))
    floor = min([0.0, *(value for _, value in known)])
    name = escape(" ".join([budget.slo, *(f"{label}={value}" for label, value in budget.labels)]))

    def y(value: float) -> float:
        return 10 + (1 - value) / (1 - floor) * (CHART - 30)

    points = " ".join(f"{_x(found, at):.1f},{y(value):.1f}" for at, value in known)
    zero = f'<line x1="{LEFT}" x2="{WIDTH}" y1="{y(0):.1f}" y2="{y(0):.1f}" stroke="#c4162a" stroke-dasharray="4"/>'
    return "".join(
        (
            f'<svg width="{WIDTH}" height="{CHART}" role="img" aria-label="budget of {name}">',
            f'<text x="6" y="20">budget of {name}</text>',
            f'<text x="{LEFT - 6}" y="18" text-anchor="end">100 %</text>',
            f'<text x="{LEFT - 6}" y="{y(0) + 4:.0f}" text-anchor="end">0 %</text>{zero}',
            f'<polyline points="{points}" fill="none" stroke="#37872d" stroke-width="1.5"/>',
            *_axis(found, CHART),
            "</svg>",
        )
    )


def _thinned(grid: Grid, budget: Budget) -> Iterable[tuple[int, float]]:
    first = grid.index(grid.first)
    size = max(1, (grid.count - first) // POINTS)
    for begin in range(first, grid.count, size):
        known = [one for one in budget.remaining[begin : begin + size] if not math.isnan(one)]
        if known:
            yield grid.at(begin), min(known)
