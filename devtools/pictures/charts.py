"""The panel types as SVG, in the size of the panel on the page."""

import datetime as dt
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from devtools.pictures.values import PALETTE, Field, css, with_unit

GRID, DIM, TEXT, DARK = "#2c3235", "#9fa7b3", "#d8d9da", "#111217"
LEGEND_LINE = 17

Point = tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One answer of a query, by its shown name."""

    name: str
    points: Sequence[Point]

    @property
    def last(self) -> float | None:
        """The newest value that is a number; NaN if there is none."""
        values = [value for _, value in self.points]
        numbers = [value for value in values if not math.isnan(value)]
        return numbers[-1] if numbers else (values[-1] if values else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """An annotation: start, end, and colour."""

    start: float
    end: float
    color: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """The data and size of a chart. `start` and `end` are the shown range in Unix seconds."""

    panel: Mapping[str, Any]
    series: Sequence[Series]
    width: float
    height: float
    start: float
    end: float
    marks: Sequence[Mark] = ()


def text(
    x: float, y: float, words: str, *, size: float = 12, fill: str = TEXT, anchor: str = "start", more: str = ""
) -> str:
    """A line of text."""
    shown = escape(words)
    place = f'x="{x:.1f}" y="{y:.1f}" font-size="{size:.1f}" fill="{fill}" text-anchor="{anchor}"'
    return f"<text {place} {more}>{shown}</text>"


def rect(x: float, y: float, width: float, height: float, fill: str, *, more: str = "") -> str:
    """A box."""
    size = f'width="{max(width, 0):.1f}" height="{max(height, 0):.1f}"'
    return f'<rect x="{x:.1f}" y="{y:.1f}" {size} fill="{fill}" {more}/>'


def nothing(canvas: Canvas) -> str:
    """The text of an empty panel."""
    words = str(canvas.panel["fieldConfig"]["defaults"].get("noValue", "no data"))
    return text(canvas.width / 2, canvas.height / 2 + 5, words, fill=DIM, size=14, anchor="middle")


def stat(canvas: Canvas) -> str:
    """Large numbers side by side, on their colours."""
    parts = []
    width = canvas.width / len(canvas.series)
    filled = canvas.panel["options"]["colorMode"] == "background"
    for index, one in enumerate(canvas.series):
        field, left = Field.of(canvas.panel, one.name), index * width
        color, words = field.color(one.last), field.text(one.last)
        if filled:
            parts.append(rect(left, 0, width - 2, canvas.height, color, more='rx="2" opacity="0.85"'))
        if canvas.panel["options"]["graphMode"] == "area":
            parts.append(_sparkline(canvas, one, left, width, "#ffffff" if filled else color))
        size = min(canvas.height * 0.42, 1.35 * width / max(len(words), 3), 44)
        middle = canvas.height / 2 + size * 0.35
        if len(canvas.series) > 1:
            parts.append(text(left + width / 2, canvas.height - 8, one.name, size=12, fill="#fff", anchor="middle"))
            middle -= 8
        ink = "#ffffff" if filled else color
        parts.append(
            text(left + width / 2, middle, words, size=size, fill=ink, anchor="middle", more='font-weight="600"')
        )
    return "".join(parts)


def _sparkline(canvas: Canvas, one: Series, left: float, width: float, color: str) -> str:
    points = [(at, value) for at, value in one.points if not math.isnan(value)]
    if len(points) < 2:
        return ""
    low, high = min(value for _, value in points), max(value for _, value in points)
    span = (high - low) or 1
    height = canvas.height * 0.4
    line = " ".join(
        f"{left + width * (at - canvas.start) / (canvas.end - canvas.start):.1f},"
        f"{canvas.height - 2 - height * (value - low) / span:.1f}"
        for at, value in points
    )
    first = left + width * (points[0][0] - canvas.start) / (canvas.end - canvas.start)
    area = f"{first:.1f},{canvas.height} {line} {left + width - 2:.1f},{canvas.height}"
    return (
        f'<polygon points="{area}" fill="{color}" opacity="0.18"/>'
        f'<polyline points="{line}" fill="none" stroke="{color}" opacity="0.55" stroke-width="1.2"/>'
    )


def gauge(canvas: Canvas) -> str:
    """Dials side by side: the value's arc inside, the thresholds' colours outside."""
    parts = []
    width = canvas.width / len(canvas.series)
    for index, one in enumerate(canvas.series):
        field = Field.of(canvas.panel, one.name)
        low, high = field.config.get("min", 0), field.config.get("max", 100)
        x, y = index * width + width / 2, canvas.height * 0.68
        radius = min(width * 0.42, canvas.height * 0.58)
        value = one.last if one.last is not None else low
        share = min(max((value - low) / (high - low), 0), 1)
        parts.append(_arc((x, y), radius * 0.82, (0, 1), GRID, radius * 0.26))
        parts.append(_arc((x, y), radius * 0.82, (0, share), field.color(value), radius * 0.26))
        steps = field.config["thresholds"]["steps"]
        ends = [max(min((step["value"] - low) / (high - low), 1), 0) for step in steps[1:]] + [1.0]
        begin = 0.0
        for step, end in zip(steps, ends, strict=True):
            parts.append(_arc((x, y), radius, (begin, end), css(step["color"]), radius * 0.06))
            begin = end
        shown = field.text(one.last)
        parts.append(
            text(
                x, y + 4, shown, size=radius * 0.34, fill=field.color(value), anchor="middle", more='font-weight="600"'
            )
        )
        if len(canvas.series) > 1:
            parts.append(text(x, canvas.height - 6, one.name, fill=TEXT, anchor="middle"))
    return "".join(parts)


def _arc(center: Point, radius: float, span: Point, color: str, width: float) -> str:
    (x, y), (begin, end) = center, span
    if end - begin < 0.001:
        return ""
    first, last = math.radians(200 - 220 * begin), math.radians(200 - 220 * end)
    large = 1 if 220 * (end - begin) > 180 else 0
    return (
        f'<path d="M {x + radius * math.cos(first):.1f} {y - radius * math.sin(first):.1f} '
        f'A {radius:.1f} {radius:.1f} 0 {large} 1 {x + radius * math.cos(last):.1f} {y - radius * math.sin(last):.1f}"'
        f' fill="none" stroke="{color}" stroke-width="{width:.1f}"/>'
    )


def bargauge(canvas: Canvas) -> str:
    """A bar per series."""
    parts = []
    line = min(canvas.height / len(canvas.series), 44)
    name_width = min(max(len(one.name) for one in canvas.series) * 6.6 + 12, canvas.width * 0.42)
    values = [Field.of(canvas.panel, one.name).text(one.last) for one in canvas.series]
    value_width = max(76, max(len(shown) for shown in values) * 9 + 14)
    largest = max((one.last or 0 for one in canvas.series), default=0)
    for index, (one, shown) in enumerate(zip(canvas.series, values, strict=True)):
        field, top = Field.of(canvas.panel, one.name), index * line
        low, high = field.config.get("min", 0), field.config.get("max", largest or 1)
        value = one.last if one.last is not None and not math.isnan(one.last) else low
        room = canvas.width - name_width - value_width
        share = min(max((value - low) / ((high - low) or 1), 0), 1)
        color, middle = field.color(one.last), top + line / 2
        parts.append(text(name_width - 8, middle + 4, one.name, anchor="end", fill=TEXT))
        parts.append(rect(name_width, top + 4, room, line - 8, "#22252b", more='rx="2"'))
        parts.append(rect(name_width, top + 4, max(room * share, 2), line - 8, color, more='rx="2" opacity="0.9"'))
        parts.append(
            text(canvas.width - 6, middle + 5, shown, size=14, fill=color, anchor="end", more='font-weight="600"')
        )
    return "".join(parts)


def timeseries(canvas: Canvas) -> str:
    """Lines, thresholds behind them, annotations across, and a legend with last and highest value below."""
    shown = canvas.series[:8]
    bottom = canvas.height - 20 - LEGEND_LINE * (len(shown) + 1)
    field = Field.of(canvas.panel, "")
    low, high, ticks = _axis(canvas, field, shown)
    labels = [with_unit(tick, field.config["unit"], None) for tick in ticks]
    left = max(len(label) for label in labels) * 6.4 + 12
    plot = _Plot(canvas=canvas, left=left, bottom=bottom, low=low, high=high)
    parts = [_threshold_areas(plot, field), _marks(plot)]
    for tick, label in zip(ticks, labels, strict=True):
        y = plot.y(tick)
        parts.append(f'<line x1="{left:.1f}" x2="{canvas.width:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{GRID}"/>')
        parts.append(text(left - 6, y + 4, label, size=11, fill=DIM, anchor="end"))
    parts.append(_time_axis(canvas, left, bottom))
    for index, one in enumerate(shown):
        parts.append(_line(plot, one, PALETTE[index % len(PALETTE)], fill=len(shown) == 1))
    parts.append(_legend(canvas, field, shown, bottom + 34))
    return "".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plot:
    canvas: Canvas
    left: float
    bottom: float
    low: float
    high: float

    def x(self, at: float) -> float:
        share = (at - self.canvas.start) / (self.canvas.end - self.canvas.start)
        return self.left + (self.canvas.width - self.left) * min(max(share, 0), 1)

    def y(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low)
        return self.bottom - (self.bottom - 4) * min(max(share, 0), 1)


def _axis(canvas: Canvas, field: Field, series: Sequence[Series]) -> tuple[float, float, list[float]]:
    values = [value for one in series for _, value in one.points if math.isfinite(value)] or [0.0, 1.0]
    soft = [0.0] if "axisSoftMin" in field.config["custom"] else []
    low = field.config.get("min", min([*values, *soft]))
    high = field.config.get("max", max(values) * 1.05)
    if high <= low:
        high = low + 1
    raw = (high - low) / max(canvas.height / 70, 2)
    scale = 10 ** math.floor(math.log10(raw))
    step = next(size * scale for size in (1, 2, 5, 10) if size * scale >= raw)
    first = math.floor(low / step) * step if "min" not in field.config else low
    count = math.ceil((high - first) / step - 1e-9)
    return first, first + count * step, [first + index * step for index in range(count + 1)]


def _threshold_areas(plot: _Plot, field: Field) -> str:
    if plot.canvas.panel["fieldConfig"]["defaults"]["custom"]["thresholdsStyle"]["mode"] == "off":
        return ""
    steps = field.config["thresholds"]["steps"]
    edges = [plot.low if step["value"] is None else step["value"] for step in steps] + [max(plot.high, plot.low)]
    parts = []
    width = plot.canvas.width - plot.left
    for index, step in enumerate(steps):
        begin, end = max(edges[index], plot.low), edges[index + 1] if index + 1 < len(steps) else plot.high
        end = min(end, plot.high)
        if end > begin:
            area = rect(
                plot.left, plot.y(end), width, plot.y(begin) - plot.y(end), css(step["color"]), more='opacity="0.09"'
            )
            parts.append(area)
        if step["value"] is not None and plot.low < step["value"] < plot.high:
            y, color = plot.y(step["value"]), css(step["color"])
            parts.append(
                f'<line x1="{plot.left:.1f}" x2="{plot.canvas.width:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="{color}" '
                f'stroke-width="1.5" opacity="0.8"/>'
            )
    return "".join(parts)


def _marks(plot: _Plot) -> str:
    parts = []
    for mark in plot.canvas.marks:
        first, last = plot.x(mark.start), plot.x(mark.end)
        if mark.end < plot.canvas.start:
            continue
        parts.append(rect(first, 4, last - first, plot.bottom - 4, mark.color, more='opacity="0.06"'))
        parts.append(
            f'<line x1="{first:.1f}" x2="{first:.1f}" y1="4" y2="{plot.bottom + 3:.1f}" stroke="{mark.color}" '
            f'stroke-dasharray="3 3" opacity="0.8"/>'
        )
        parts.append(rect(first, plot.bottom, max(last - first, 4), 3, mark.color))
    return "".join(parts)


def _time_axis(canvas: Canvas, left: float, y: float) -> str:
    span = canvas.end - canvas.start
    step = next(
        size
        for size in (60, 300, 600, 900, 1800, 3600, 7200, 21600, 86400, 5 * 86400, 10 * 86400)
        if span / size <= canvas.width / 75
    )
    form = "%H:%M" if span <= 2 * 86400 else "%m/%d"
    parts, at = [], math.ceil(canvas.start / step) * step
    while at <= canvas.end:
        x = left + (canvas.width - left) * (at - canvas.start) / span
        words = dt.datetime.fromtimestamp(at, dt.UTC).strftime(form)
        if x < canvas.width - 14:
            parts.append(text(x, y + 15, words, size=11, fill=DIM, anchor="middle"))
        at += step
    return "".join(parts)


def _line(plot: _Plot, one: Series, color: str, *, fill: bool) -> str:
    """The line, with gaps for missing samples."""
    pieces: list[list[Point]] = [[]]
    step = min((b[0] - a[0] for a, b in itertools.pairwise(one.points)), default=0)
    before: float | None = None
    for at, value in one.points:
        if math.isfinite(value):
            if before is not None and at - before > 1.5 * step:
                pieces.append([])
            pieces[-1].append((at, value))
            before = at
    parts = []
    for piece in filter(None, pieces):
        line = " ".join(f"{plot.x(at):.1f},{plot.y(value):.1f}" for at, value in piece)
        if fill and len(piece) > 1:
            area = f"{plot.x(piece[0][0]):.1f},{plot.bottom:.1f} {line} {plot.x(piece[-1][0]):.1f},{plot.bottom:.1f}"
            parts.append(f'<polygon points="{area}" fill="{color}" opacity="0.1"/>')
        parts.append(f'<polyline points="{line}" fill="none" stroke="{color}" stroke-width="1.8"/>')
    return "".join(parts)


def _legend(canvas: Canvas, field: Field, series: Sequence[Series], top: float) -> str:
    columns = (canvas.width - 78, canvas.width - 6)
    parts = [
        text(columns[0], top, "last", size=11, fill=css("blue"), anchor="end"),
        text(columns[1], top, "max", size=11, fill=css("blue"), anchor="end"),
    ]
    for index, one in enumerate(series):
        y = top + LEGEND_LINE * (index + 1)
        values = [value for _, value in one.points if math.isfinite(value)]
        parts.append(rect(2, y - 6, 14, 3, PALETTE[index % len(PALETTE)]))
        parts.append(text(22, y, one.name, fill=TEXT, size=12))
        for x, value in zip(columns, (one.last, max(values, default=None)), strict=True):
            parts.append(text(x, y, field.text(value), fill=TEXT, size=12, anchor="end"))
    return "".join(parts)


def state_timeline(canvas: Canvas) -> str:
    """A line of coloured blocks for each series; equal neighbours form one block."""
    parts = []
    bottom = canvas.height - 20
    line = min(bottom / len(canvas.series), 52)
    left = min(max(len(one.name) for one in canvas.series) * 7.6 + 10, canvas.width * 0.4)
    span = canvas.end - canvas.start
    for index, one in enumerate(canvas.series):
        field, top = Field.of(canvas.panel, one.name), index * line
        parts.append(text(left - 8, top + line / 2 + 4, one.name, size=11.5, anchor="end"))
        for begin, end, value in _blocks(one.points):
            x = left + (canvas.width - left) * max(begin - canvas.start, 0) / span
            width = (canvas.width - left) * (end - max(begin, canvas.start)) / span
            words, color = field.text(value), field.color(value)
            parts.append(rect(x, top + 2, max(width, 1.5), line - 4, color, more='opacity="0.85"'))
            if width > 7 * len(words) + 4:
                parts.append(text(x + width / 2, top + line / 2 + 4, words, size=11.5, fill=DARK, anchor="middle"))
    parts.append(_time_axis(canvas, left, bottom))
    return "".join(parts)


def _blocks(points: Sequence[Point]) -> list[tuple[float, float, float]]:
    step = min((b[0] - a[0] for a, b in itertools.pairwise(points)), default=15.0)
    blocks: list[tuple[float, float, float]] = []
    for at, value in points:
        if blocks and blocks[-1][2] == value and at - blocks[-1][1] < step * 0.5:
            blocks[-1] = (blocks[-1][0], at + step, value)
        else:
            blocks.append((at, at + step, value))
    return blocks


CHARTS: Mapping[str, Callable[[Canvas], str]] = {
    "stat": stat,
    "gauge": gauge,
    "bargauge": bargauge,
    "timeseries": timeseries,
    "state-timeline": state_timeline,
}
