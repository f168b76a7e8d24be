"""The panels that a spec asks for, and what Prometheus answers to their queries."""

import math
import time

from generator.pipeline import load_set
from generator.render.dashboards import dashboard
from generator.render.dashboards.dashboard import all_panels
from tests.acceptance.dashboards.ask import Question, ask, panel_questions
from tests.tools import ROOT, PrometheusServer

SCOPE = "slos"
SHOWN_S = 3600.0


def own_questions(name: str) -> list[Question]:
    """The queries of the panels that the shipped spec itself lists."""
    path = ROOT / "slos" / f"{name}.yaml"
    (spec,) = load_set([(f"slos/{path.name}", path.read_bytes())], SCOPE).output_set.specs
    assert spec.dashboard is not None
    titles = {panel.title for panel in spec.dashboard.panels}
    found = [panel for panel in all_panels(dashboard.render(spec, SCOPE)) if panel["title"] in titles]
    assert len(found) == len(titles)
    return [question for panel in found for question in panel_questions(panel, SHOWN_S)]


def without_value(server: PrometheusServer, questions: list[Question]) -> list[Question]:
    """The questions whose answer has no number."""
    at = time.time()
    return [question for question in questions if not _numbers(server, question, at)]


def _numbers(server: PrometheusServer, question: Question, at: float) -> list[float]:
    values = []
    for series in ask(server, question, at):
        samples = [series["value"]] if "value" in series else series["values"]
        values += [float(value) for _, value in samples]
    return [value for value in values if math.isfinite(value)]
