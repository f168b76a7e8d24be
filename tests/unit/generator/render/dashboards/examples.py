"""The dashboards that tests look at: those of the committed specs, and one spec that uses everything at once."""

import json
from collections.abc import Iterator

from freezeline.problems import Problems
from generator.model.spec import Spec
from generator.panels.base import Json
from generator.pipeline import load_set
from generator.render.dashboards import dashboard
from generator.spec.load import load
from tests.tools import ROOT

SCOPE = "tests"

EVERYTHING = r"""
apiVersion: freezeline/v1
service: every.thing
owner: {team: tests}
defaults: {window: 30d, interval: 30s, scrape: 15s, runbook: "https://runbooks.example.org/{service}/{alert}?slo={slo}",
           grafana: "https://grafana.example.org/base/"}
slos:
  availability: {objective: 99.9, sli: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}}
  by-route:
    objective: 99
    group_by: [route, datasource]
    sli: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}
    runbook: "https://wiki.example.org/{slo}/{alert}?cost=$5"
  by-region: {objective: 99, group_by: [region], sli: {histogram: http_request_duration_seconds, below: 300ms}}
  weekly: {objective: 99, window: 7d, sli: {bad: 'failed_total', total: all_total}}
  quiet: {objective: 45, tiers: off, sli: {good: good_total, total: all_total}}
  six: {objective: 99, sli: {bad: 'failed_total{six="1"}', total: all_total}}
  seven: {objective: 99, sli: {bad: 'failed_total{seven="1"}', total: all_total}}
  eight: {objective: 99, sli: {bad: 'failed_total{eight="1"}', total: all_total}}
alerts:
  QueueLong: {when: 'sum(queue_length) > 50', for: 5m, severity: critical}
  WithItsOwnPage: {when: 'sum(queue_length) > 10', for: 5m, severity: warning,
                   runbook: "https://wiki.example.org/{alert}"}
dashboard:
  refresh: 1m
  range: 3h
  links: [{title: Wiki, url: "https://wiki.example.org"}]
  panels:
    - {title: Numbers, type: stat, query: 'sum(rate(a_total[$__rate_interval]))', unit: reqps, falling: [1, 0]}
    - {title: Dial, type: gauge, query: 'max(used_percent)', unit: percent, steps: [30, 35.5]}
    - {title: Bars, type: bargauge, query: 'sum by (type) (increase(a_total[5m]))', steps: [5, 10], max: 20}
    - {title: Lines, type: timeseries, quantiles_of: 'latency_seconds{job="a"}', q: [0.5, 0.999], by: [route],
       over: 2m, unit: s}
    - {title: One line, p95_of: latency_seconds, native: true, unit: s, steps: [0.5, 1], min: 0, max: 5, decimals: 1}
    - {title: Rows, type: table, quantiles_of: latency_seconds, by: [route], unit: s, description: Latency by route}
    - {title: States, type: state-timeline, query: 'max by (state) (up)', unit: short,
       links: [{title: Runbook, url: "https://wiki.example.org/states"}]}
"""

MINIMAL = """
apiVersion: freezeline/v1
service: checkout
owner: {team: payments}
slos:
  availability: {objective: 99.9, sli: {bad: 'http_requests_total{code=~"5.."}', total: http_requests_total}}
"""

ALERTS_ONLY = """
apiVersion: freezeline/v1
service: batch
owner: {team: data}
alerts:
  Stuck: {when: 'sum(queue_length) > 50', for: 5m, severity: critical}
"""


def spec(text: str, name: str = "example") -> Spec:
    """The spec of a text that must be without mistakes."""
    problems = Problems()
    _, found = load(f"slos/{name}.yaml", text.encode(), problems)
    assert [str(problem) for problem in problems.errors] == []
    assert found is not None
    return found


def committed_specs() -> list[Spec]:
    """The specs under slos/, as one output set."""
    files = [(f"slos/{path.name}", path.read_bytes()) for path in sorted((ROOT / "slos").glob("*.yaml"))]
    loaded = load_set(files, SCOPE)
    return list(loaded.output_set.specs)


def dashboards() -> Iterator[tuple[str, Json]]:
    """Every dashboard by name: of each spec, overviews, and the export of one. As read back from its JSON."""
    examples = [spec(EVERYTHING, "every.thing"), spec(MINIMAL, "minimal"), spec(ALERTS_ONLY, "alerts-only")]
    committed = committed_specs()
    for one in (*committed, *examples):
        yield one.name, _stored(dashboard.render(one, SCOPE))
    yield "overview", _stored(dashboard.render_overview(committed, SCOPE))
    yield "overview of the examples", _stored(dashboard.render_overview(examples, SCOPE))


def _stored(found: Json) -> Json:
    stored: Json = json.loads(json.dumps(found, allow_nan=False))
    return stored


def panels(found: Json) -> list[Json]:
    """Every panel that shows data, folded ones included; a dashboard without any would pass most tests."""
    shown = [panel for panel in dashboard.all_panels(found) if panel["type"] != "row"]
    assert shown, found["title"]
    return shown
