"""Asks Prometheus what Grafana would: every query of a dashboard, its variables and ranges filled in."""

import re
import urllib.error
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from generator.panels.base import Json
from generator.render.dashboards.dashboard import all_panels
from generator.units import parse_duration_ms
from tests.tools import PrometheusServer

POINTS = 240
SHORTEST_STEP_S = 15


class Question(Struct, frozen=True, kw_only=True):
    """One query of a panel or annotation, ready to be asked."""

    place: str
    ref_id: str
    expr: str
    legend: str
    instant: bool
    span_s: float  # of the range that is shown
    step_s: float


def questions(dashboard: Json, *, variables: dict[str, str] | None = None) -> Iterator[Question]:
    """Every question of the dashboard, folded sections included. Variables that are not given stand for all."""
    shown_s = _seconds(dashboard["time"]["from"].removeprefix("now-"))
    for panel in all_panels(dashboard):
        yield from panel_questions(panel, shown_s, variables)
    for item in dashboard["annotations"]["list"]:
        if "expr" in item:
            target = {"expr": item["expr"], "legendFormat": item["titleFormat"], "refId": "", "instant": False}
            yield _question(f"annotation {item['name']}", target, shown_s, variables)


def panel_questions(panel: Json, shown_s: float, variables: dict[str, str] | None = None) -> Iterator[Question]:
    """The questions of one panel; `shown_s` is the dashboard's range, which the panel may have one of its own for."""
    span_s = _seconds(panel["timeFrom"]) if "timeFrom" in panel else shown_s
    for target in panel.get("targets", ()):
        yield _question(f"{panel['title']} {target['refId']}", target, span_s, variables)


def _question(place: str, target: Json, span_s: float, variables: dict[str, str] | None) -> Question:
    step_s = max(span_s / POINTS, SHORTEST_STEP_S)
    return Question(
        place=place,
        ref_id=target["refId"],
        expr=filled_in(target["expr"], span_s, step_s, variables or {}),
        legend=target["legendFormat"],
        instant=target["instant"],
        span_s=span_s,
        step_s=step_s,
    )


def filled_in(expr: str, span_s: float, step_s: float, variables: dict[str, str]) -> str:
    """The query as Grafana sends it: `$__rate_interval` is the step, but four scrapes at least."""
    ranges = {
        "__rate_interval": f"{max(step_s + SHORTEST_STEP_S, 4 * SHORTEST_STEP_S):.0f}s",
        "__interval": f"{step_s:.0f}s",
        "__range": f"{span_s:.0f}s",
    }
    return re.sub(r"\$(\w+)", lambda match: ranges.get(match[1]) or variables.get(match[1], ".*"), expr)


def ask(server: PrometheusServer, question: Question, at: float) -> list[dict[str, Any]]:
    """The answer's series. Raises AssertionError with Prometheus' words where the query errs."""
    try:
        if question.instant:
            return server.query(question.expr, at)
        params = {
            "query": question.expr,
            "start": f"{at - question.span_s:.3f}",
            "end": f"{at:.3f}",
            "step": f"{question.step_s:.3f}",
        }
        found: list[dict[str, Any]] = server.get("/api/v1/query_range", params)["data"]["result"]
    except urllib.error.HTTPError as error:
        raise AssertionError(f"{question.place}: {question.expr}: {error.__notes__}") from error
    return found


def _seconds(duration: str) -> float:
    return parse_duration_ms(duration) / 1000
