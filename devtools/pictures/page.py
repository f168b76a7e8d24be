"""A dashboard as an HTML page: the grid of 24 columns, the rows, and panels with Prometheus' answers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from devtools.pictures import tables
from devtools.pictures.charts import CHARTS, Canvas, Mark, Series, nothing
from devtools.pictures.values import css
from tests.acceptance.dashboards.ask import POINTS, Question, ask, panel_questions, questions
from tests.tools import PrometheusServer

WIDTH, MARGIN, GAP, CELL, HEAD = 1600, 16, 8, 30, 30
TOP = 84
COLUMN = (WIDTH - 2 * MARGIN + GAP) / 24

_STYLE = """
* { box-sizing: border-box; margin: 0; }
body { background: #111217; color: #d8d9da; font: 13px Inter, "DejaVu Sans", sans-serif; width: 1600px; }
.bar { padding: 14px 16px 0; }
.bar h1 { font-size: 18px; font-weight: 500; display: inline; }
.bar .right { float: right; color: #9fa7b3; }
.bar .links { margin-top: 10px; }
.chip { background: #22252b; border: 1px solid #2c3235; border-radius: 2px; padding: 4px 9px; margin-right: 6px; }
.panel { position: absolute; background: #181b1f; border: 1px solid #25282d; border-radius: 2px; overflow: hidden; }
.panel .title { height: 28px; padding: 7px 8px; font-weight: 500; white-space: nowrap; }
.panel .title i { color: #9fa7b3; font-style: normal; font-weight: 400; float: right; font-size: 11px; }
.panel .body { padding: 0 8px; }
.row { position: absolute; font-size: 15px; font-weight: 500; padding: 7px 2px; }
.row:before { content: "\\2304"; color: #9fa7b3; padding-right: 8px; }
.row.folded:before { content: "\\203A"; }
table { border-collapse: collapse; width: 100%; font-size: 12.5px; }
th { text-align: left; color: #6e9fff; font-weight: 500; padding: 5px 8px; border-bottom: 1px solid #2c3235; }
td { padding: 5px 8px; border-bottom: 1px solid #202327; white-space: nowrap; }
.link { text-decoration: underline; text-underline-offset: 2px; }
.nothing { color: #9fa7b3; text-align: center; padding-top: 40px; font-size: 14px; }
svg { display: block; font-family: Inter, "DejaVu Sans", sans-serif; }
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """What every panel needs: the Prometheus, the time and range, and the marks on graphs."""

    server: PrometheusServer
    at: float
    shown_s: float
    marks: Sequence[Mark]


def draw(server: PrometheusServer, dashboard: Mapping[str, Any], at: float) -> tuple[str, int]:
    """The page and its height in pixels."""
    marks = _marks(server, dashboard, at)
    shown_s = next(question.span_s for question in questions({**dashboard, "panels": _without_own_range(dashboard)}))
    moment = _Moment(server=server, at=at, shown_s=shown_s, marks=marks)
    body = "".join(_panel(moment, panel) for panel in dashboard["panels"])
    bottom = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in dashboard["panels"])
    height = TOP + bottom * (CELL + GAP) + MARGIN
    page = (
        f'<!doctype html><meta charset="utf-8"><style>{_STYLE}</style><body style="height:{height}px">'
        f"{_bar(dashboard)}{body}</body>"
    )
    return page, height


def _without_own_range(dashboard: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [panel for panel in dashboard["panels"] if "timeFrom" not in panel]


def _bar(dashboard: Mapping[str, Any]) -> str:
    shown = f"Last {dashboard['time']['from'].removeprefix('now-')} · every {dashboard['refresh']}"
    variables = [
        f"{item['label']}: {'All' if item['type'] == 'query' else 'Prometheus'}"
        for item in dashboard["templating"]["list"]
    ]
    annotations = [
        f'<span style="color:{css(item["iconColor"])}">▮</span> {escape(item["name"])}'
        for item in dashboard["annotations"]["list"]
        if "expr" in item
    ]
    chips = (
        [escape(words) for words in variables]
        + annotations
        + [f"↗ {escape(link['title'])}" for link in dashboard["links"]]
    )
    inner = "".join(f'<span class="chip">{chip}</span>' for chip in chips)
    return (
        f'<div class="bar"><h1>{escape(dashboard["title"])}</h1><span class="right">{escape(shown)}</span>'
        f'<div class="links">{inner}</div></div>'
    )


def _panel(moment: _Moment, panel: Mapping[str, Any]) -> str:
    place = panel["gridPos"]
    left, top = MARGIN + place["x"] * COLUMN, TOP + place["y"] * (CELL + GAP)
    width, height = place["w"] * COLUMN - GAP, place["h"] * (CELL + GAP) - GAP
    box = f"left:{left:.1f}px;top:{top}px;width:{width:.1f}px;height:{height}px"
    if panel["type"] == "row":
        folded = " folded" if panel["collapsed"] else ""
        return f'<div class="row{folded}" style="{box}">{escape(panel["title"])}</div>'
    extra = f"Last {panel['timeFrom']}" if "timeFrom" in panel else ""
    extra += " ↗" if panel["links"] else ""
    inner = _content(moment, dict(panel), (width - 18, height - HEAD - 10))
    return (
        f'<div class="panel" style="{box}"><div class="title">{escape(panel["title"])}<i>{extra}</i></div>'
        f'<div class="body">{inner}</div></div>'
    )


def _content(moment: _Moment, panel: dict[str, Any], size: tuple[float, float]) -> str:
    asked = list(panel_questions(panel, moment.shown_s))
    if panel["type"] == "table":
        return tables.html(panel, {question.ref_id: ask(moment.server, question, moment.at) for question in asked})
    series = [found for question in asked for found in _series(moment, question, panel["title"])]
    canvas = Canvas(
        panel=panel,
        series=series,
        width=size[0],
        height=size[1],
        start=moment.at - asked[0].span_s,
        end=moment.at,
        marks=moment.marks if panel["type"] == "timeseries" and "timeFrom" not in panel else (),
    )
    drawn = CHARTS[panel["type"]](canvas) if series else nothing(canvas)
    return f'<svg width="{size[0]:.0f}" height="{size[1]:.0f}">{drawn}</svg>'


def _series(moment: _Moment, question: Question, title: str) -> list[Series]:
    found = []
    for one in ask(moment.server, question, moment.at):
        samples = [one["value"]] if "value" in one else one["values"]
        points = [(float(when), float(value)) for when, value in samples]
        found.append(Series(name=_name(question.legend, one["metric"], title), points=points))
    return found


def _name(legend: str, labels: Mapping[str, str], title: str) -> str:
    if legend == "__auto":
        return " ".join(value for name, value in labels.items() if name != "__name__") or title
    filled = re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend)
    return " ".join(filled.split()) or title


def _marks(server: PrometheusServer, dashboard: Mapping[str, Any], at: float) -> list[Mark]:
    colors = {f"annotation {item['name']}": item["iconColor"] for item in dashboard["annotations"]["list"]}
    marks = []
    for question in questions(dict(dashboard)):
        if question.place not in colors:
            continue
        for one in ask(server, question, at):
            times = [float(when) for when, _ in one["values"]]
            begin = times[0]
            for before, now in zip(times, [*times[1:], times[-1] + 2 * question.span_s / POINTS], strict=True):
                if now - before > 1.5 * question.step_s:
                    marks.append(Mark(start=begin, end=before, color=css(colors[question.place])))
                    begin = now
    return marks
