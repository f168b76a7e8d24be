"""The `dashboard` section: what it means, and what it says about mistakes."""

from decimal import Decimal

import pytest

from freezeline.problems import Problems
from generator.checks.dashboard import check
from generator.model.dashboard import Dashboard, Link, PanelQuery, PanelSpec, Thresholds
from generator.panels import PANELS
from generator.pipeline import load_set
from generator.reading.reader import Reader
from generator.reading.source import read_source
from generator.spec import dashboard
from generator.spec.load import load
from generator.units import HOUR, MINUTE, SECOND
from tests.tools import ROOT
from tests.unit.generator.render.dashboards.examples import MINIMAL


def parse(text: str) -> tuple[Dashboard, list[tuple[str, int]]]:
    """The section and its problems as (code, line)."""
    problems = Problems()
    root = read_source("spec.yaml", text.encode(), problems).root
    assert root is not None
    found = dashboard.parse(Reader(root, "dashboard", problems))
    return found, [(problem.code, problem.position.line) for problem in problems]


def panel(text: str) -> PanelSpec:
    """The only panel of a section without mistakes."""
    found, problems = parse(f"panels:\n  - {text}\n")
    assert problems == []
    return found.panels[0]


def problems_of(text: str) -> list[str]:
    """The codes of what is wrong with a panel."""
    return [code for code, _ in parse(f"panels:\n  - {text}\n")[1]]


def test_an_empty_section_refreshes_every_30_s_and_shows_6_h() -> None:
    """What a spec without the section gets too."""
    found, problems = parse("{}")
    assert (found.refresh_ms, found.range_ms, found.panels, problems) == (30 * SECOND, 6 * HOUR, (), [])


def test_refresh_range_and_links_are_read() -> None:
    """The head of the section."""
    found, problems = parse("refresh: 1m\nrange: 1h\nlinks: [{title: Wiki, url: https://wiki.example.org/x}]")
    assert problems == []
    assert (found.refresh_ms, found.range_ms) == (MINUTE, HOUR)
    assert found.links == (Link(title="Wiki", url="https://wiki.example.org/x"),)


def test_a_query_is_taken_as_it_is() -> None:
    """Grafana's own ranges may stand in it."""
    found = panel("{title: Rate, query: 'sum(rate(a_total[$__rate_interval]))', unit: reqps}")
    assert (found.type, found.unit) == ("timeseries", "reqps")
    assert found.queries == (PanelQuery(expr="sum(rate(a_total[$__rate_interval]))", legend="__auto"),)


def test_p95_of_becomes_a_quantile_over_5_minutes() -> None:
    """The legend says which quantile."""
    found = panel("{title: Latency, p95_of: 'latency_ms{job=\"a\"}', unit: ms}")
    expr = 'histogram_quantile(0.95, sum by (le) (rate(latency_ms_bucket{job="a"}[5m])))'
    assert found.queries == (PanelQuery(expr=expr, legend="p95"),)


def test_quantiles_of_becomes_a_query_per_quantile() -> None:
    """Range, labels and the native form can be chosen."""
    found = panel("{title: L, quantiles_of: latency, q: [0.5, 0.999], over: 2m, by: [route], native: true, unit: s}")
    assert found.queries == (
        PanelQuery(expr="histogram_quantile(0.5, sum by (route) (rate(latency[2m])))", legend="p50 {{route}}"),
        PanelQuery(expr="histogram_quantile(0.999, sum by (route) (rate(latency[2m])))", legend="p99.9 {{route}}"),
    )


def test_quantiles_of_shows_three_quantiles_unless_told() -> None:
    """Median, p95, p99."""
    found = panel("{title: L, quantiles_of: latency, unit: s}")
    assert [query.legend for query in found.queries] == ["p50", "p95", "p99"]


def test_steps_rise_and_falling_falls() -> None:
    """Where yellow and red begin, upwards or downwards."""
    rising = panel("{title: A, query: up, steps: [0.5, 1]}")
    falling = panel("{title: A, query: up, falling: [1, 0]}")
    assert rising.thresholds == Thresholds(yellow=Decimal("0.5"), red=Decimal(1))
    assert falling.thresholds == Thresholds(yellow=Decimal(1), red=Decimal(0), falling=True)


def test_limits_and_decimals_are_read() -> None:
    """The ends of a dial."""
    found = panel("{title: A, type: gauge, query: up, min: 1, max: 2.5, decimals: 0}")
    assert (found.minimum, found.maximum, found.decimals) == (Decimal(1), Decimal("2.5"), 0)


@pytest.mark.parametrize(
    "text,codes",
    [
        ("{title: A}", ["dashboard/query"]),
        ("{title: A, query: up, p95_of: latency}", ["dashboard/query"]),
        ("{query: up}", ["spec/missing-key"]),
        ("{title: A, query: 'sum('}", ["promql/parse"]),
        ("{title: A, query: 'up[5m]'}", ["promql/type"]),
        ("{title: A, p95_of: latency_bucket}", ["spec/histogram-name"]),
        ("{title: A, p95_of: 'sum(latency)'}", ["promql/selector"]),
        ("{title: A, quantiles_of: latency, q: [0.5, 95]}", ["dashboard/quantile"]),
        ("{title: A, query: up, steps: [2, 1]}", ["dashboard/steps"]),
        ("{title: A, query: up, steps: [1]}", ["dashboard/steps"]),
        ("{title: A, query: up, falling: [0, 1]}", ["dashboard/steps"]),
        ("{title: A, query: up, steps: [0, 1], falling: [1, 0]}", ["dashboard/steps"]),
        ("{title: A, query: up, steps: [low, high]}", ["dashboard/steps", "spec/type", "spec/type"]),
        ("{title: A, query: up, type: graph}", ["spec/type"]),
        ("{title: A, query: up, unit: milliseconds}", ["dashboard/unit"]),
        ("{title: A, query: up, links: [{title: x, url: 'javascript:alert(1)'}]}", ["dashboard/link"]),
        ("{title: A, query: up, links: [{title: x, url: //evil.example.org}]}", ["dashboard/link"]),
        ("{title: A, query: up, colour: red}", ["spec/unknown-key"]),
    ],
)
def test_mistakes_are_reported_by_code(text: str, codes: list[str]) -> None:
    """Each with its place; the panel is left out."""
    assert sorted(problems_of(text)) == codes


def test_a_panel_with_a_mistake_is_left_out_and_the_others_stay() -> None:
    """Reading goes on, so that one run shows every mistake."""
    found, problems = parse("panels:\n  - {title: A}\n  - {title: B, query: up}\n  - {title: C, query: ')'}\n")
    assert [one.title for one in found.panels] == ["B"]
    assert problems == [("dashboard/query", 2), ("promql/parse", 4)]


def test_an_unknown_unit_only_warns_and_names_the_nearest() -> None:
    """Grafana would show the bare number: odd, but not wrong."""
    problems = Problems()
    root = read_source("s.yaml", b"panels: [{title: A, query: up, unit: reqs}]", problems).root
    assert root is not None
    assert len(dashboard.parse(Reader(root, "dashboard", problems)).panels) == 1
    assert [(problem.warning, problem.hint) for problem in problems] == [(True, "did you mean `reqps`?")]


def test_two_panels_with_one_title_are_a_mistake() -> None:
    """Links and people tell panels apart by their titles."""
    text = MINIMAL + "dashboard: {panels: [{title: A, query: up}, {title: A, query: down}]}\n"
    problems = Problems()
    _, spec = load("slos/a.yaml", text.encode(), problems)
    assert spec is not None
    check(spec, problems)
    assert [problem.code for problem in problems] == ["dashboard/duplicate-panel"]


def test_a_refresh_faster_than_scrapes_warns() -> None:
    """Nothing new would be shown."""
    text = MINIMAL + "dashboard: {refresh: 10s}\n"
    problems = Problems()
    _, spec = load("slos/a.yaml", text.encode(), problems)
    assert spec is not None
    check(spec, problems)
    assert [(problem.code, problem.warning) for problem in problems] == [("dashboard/refresh", True)]


def test_the_checks_run_with_all_others() -> None:
    """`validate` finds what only the whole spec shows."""
    text = MINIMAL + "dashboard: {panels: [{title: A, query: up}, {title: A, query: down}]}\n"
    loaded = load_set([("slos/a.yaml", text.encode())], "tests")
    assert [problem.code for problem in loaded.problems] == ["dashboard/duplicate-panel"]


def test_the_docs_name_every_panel_type_and_key() -> None:
    """The keys are those that the hint about an unknown one lists: what reading asks for."""
    problems = Problems()
    root = read_source("s.yaml", b"panels: [{title: A, p95_of: latency, zzzzzz: 1}]", problems).root
    assert root is not None
    dashboard.parse(Reader(root, "dashboard", problems))
    (unknown,) = list(problems)
    keys = unknown.hint.removeprefix("use one of: ").split(", ")
    docs = (ROOT / "docs" / "dashboards.md").read_text()
    assert len(keys) > 15
    assert [word for word in (*PANELS, *keys) if f"`{word}`" not in docs] == []
