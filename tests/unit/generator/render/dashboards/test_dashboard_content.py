"""What a dashboard shows: the SLO section, thresholds, layout, variables."""

import re
from decimal import Decimal

import pytest

from generator.panels.base import Json, falling, reference, rising
from generator.render.dashboards import dashboard
from generator.render.dashboards.layout import Section, in_lines, place, spread
from tests.unit.generator.render.dashboards.examples import (
    ALERTS_ONLY,
    EVERYTHING,
    MINIMAL,
    SCOPE,
    committed_specs,
    panels,
    spec,
)


def colour(steps: list[Json], value: float) -> str:
    """The colour that Grafana gives a value: the colour of the last step at or below the value."""
    found: str = [step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]
    return found


def steps_of(found: Json, title: str) -> list[Json]:
    """The thresholds of the panel of that title."""
    steps: list[Json] = by_title(found)[title]["fieldConfig"]["defaults"]["thresholds"]["steps"]
    return steps


def by_title(found: Json) -> dict[str, Json]:
    """Panels by title; of several with one title the first."""
    titles: dict[str, Json] = {}
    for panel in panels(found):
        titles.setdefault(panel["title"], panel)
    return titles


def test_the_ten_panels_of_generation_service_are_there() -> None:
    """In the user's words and units, with 30 s refresh and an hour shown."""
    found = dashboard.render(next(one for one in committed_specs() if one.name == "generation-service"), SCOPE)
    assert (found["refresh"], found["time"]) == ("30s", {"from": "now-1h", "to": "now"})
    wanted = {
        "RAG queue": ("timeseries", "short"),
        "RAG job time p95": ("timeseries", "ms"),
        "SSE connections": ("stat", "short"),
        "SSE reconnects": ("timeseries", "short"),
        "Positive commits": ("stat", "short"),
        "Token memory used": ("gauge", "percent"),
        "UI error panels": ("bargauge", "short"),
        "Dead letters": ("timeseries", "short"),
        "Active jobs": ("stat", "short"),
        "Embedding API p95": ("timeseries", "ms"),
    }
    shown = by_title(found)
    assert {
        title: (shown[title]["type"], shown[title]["fieldConfig"]["defaults"]["unit"]) for title in wanted
    } == wanted


def test_the_ten_panels_of_assistant_phase4_are_there() -> None:
    """In the user's words and units."""
    found = dashboard.render(next(one for one in committed_specs() if one.name == "assistant-phase4"), SCOPE)
    wanted = {
        "Traffic split": ("gauge", "percentunit"),
        "Error rate": ("timeseries", "percent"),
        "Latency percentiles": ("timeseries", "s"),
        "Throughput": ("timeseries", "reqps"),
        "Recommendation accuracy": ("stat", "percentunit"),
        "Memory": ("timeseries", "percentunit"),
        "DB connection pool": ("timeseries", "percentunit"),
        "Cache hit ratio": ("stat", "percentunit"),
        "Error count": ("timeseries", "short"),
        "Deployment state": ("state-timeline", "short"),
    }
    shown = by_title(found)
    assert {
        title: (shown[title]["type"], shown[title]["fieldConfig"]["defaults"]["unit"]) for title in wanted
    } == wanted


@pytest.mark.parametrize(
    "title,values",
    [
        ("Token memory used", {29.9: "green", 30: "yellow", 35: "red"}),
        ("Positive commits", {0: "red", 0.5: "yellow", 1: "yellow", 2: "green"}),
        ("SSE connections", {799: "green", 800: "yellow", 1000: "red"}),
    ],
)
def test_the_user_s_thresholds_colour_as_written(title: str, values: dict[float, str]) -> None:
    """`steps` begin at their value upwards, `falling` at their value downwards."""
    found = dashboard.render(next(one for one in committed_specs() if one.name == "generation-service"), SCOPE)
    steps = steps_of(found, title)
    assert {value: colour(steps, value) for value in values} == values


def test_falling_steps_include_their_own_value() -> None:
    """Grafana's steps go upwards, so each falling step begins just above its value."""
    found = [(step.color, step.value) for step in falling(Decimal("0.5"), Decimal("0.45"))]
    assert found == [("red", None), ("yellow", Decimal("0.45005")), ("green", Decimal("0.50005"))]


def test_rising_steps_begin_at_their_value() -> None:
    """Green, yellow, red."""
    found = [(step.color, step.value) for step in rising(Decimal(30), Decimal(50))]
    assert found == [("green", None), ("yellow", Decimal(30)), ("red", Decimal(50))]


def test_each_slo_has_a_section_with_all_its_panels() -> None:
    """Objective, SLI, budget left, when it runs out, tiers, burn rate, budget over the SLO's own window."""
    found = dashboard.render(spec(MINIMAL), SCOPE)
    titles = [panel["title"] for panel in found["panels"]]
    start = titles.index("SLO availability: 99.9 % over 30d")
    assert titles[start + 1 :] == [
        "Objective",
        "Budget left",
        "SLI",
        "Runs out in",
        "How near each tier is to firing",
        "Burn rate by tier",
        "Budget over the window",
    ]
    assert by_title(found)["Budget over the window"]["timeFrom"] == "30d"


def test_a_tier_fires_at_100_percent_of_the_bar() -> None:
    """The lower of both windows as a share of the tier's factor: the alert needs both."""
    bars = by_title(dashboard.render(spec(MINIMAL), SCOPE))["How near each tier is to firing"]
    assert [target["legendFormat"] for target in bars["targets"]] == ["fast", "medium", "slow", "trickle"]
    own = 'service="checkout",slo="availability",scope="tests"'
    assert bars["targets"][0]["expr"] == (
        f'max(min without (window) (slo:error_ratio{{{own},window=~"1h|5m"}}))'
        f" / scalar(max(slo:error_budget{{{own}}})) / 14.4"
    )


def test_an_slo_without_tiers_still_shows_its_pace() -> None:
    """Without tiers no window is recorded, so the query uses the base rates."""
    found = dashboard.render(spec(EVERYTHING), SCOPE)
    titles = [panel["title"] for panel in panels(found)]
    assert "Burn rate" in titles
    expr = by_title(found)["Burn rate"]["targets"][0]["expr"]
    assert "avg_over_time(slo:errors:rate5m{" in expr
    assert "[1h])" in expr


def test_when_the_budget_runs_out_is_named_in_words_at_both_ends() -> None:
    """Nothing is left, and no end within the SLO's window."""
    stat = by_title(dashboard.render(spec(MINIMAL), SCOPE))["Runs out in"]
    texts = stat["fieldConfig"]["defaults"]["mappings"][0]["options"]
    assert {value: mapping["text"] for value, mapping in texts.items()} == {
        "0": "spent",
        "2592000": "not at this pace",
    }


def test_a_group_by_label_is_a_variable_that_narrows_every_query_of_its_slo() -> None:
    """Queries of SLOs without this label do not use the variable."""
    found = dashboard.render(spec(EVERYTHING), SCOPE)
    assert [variable["name"] for variable in found["templating"]["list"]] == [
        "datasource",
        "route",
        "label_datasource",
        "region",
    ]
    asked = [target["expr"] for panel in panels(found) for target in panel["targets"]]
    by_route = [expr for expr in asked if 'slo="by-route"' in expr and "slo:error_budget_remaining" in expr]
    others = [expr for expr in asked if 'slo="by-region"' in expr and "by-route" not in expr]
    assert by_route != []
    assert [expr for expr in by_route if 'route=~"$route",datasource=~"$label_datasource"' not in expr] == []
    assert others != []
    assert [expr for expr in others if "$route" in expr] == []
    assert {'"$region"' in expr for expr in others if "slo:error_budget_remaining" in expr} == {True}


def test_many_slos_are_folded_from_the_seventh_on() -> None:
    """A folded section asks Prometheus nothing until it is opened."""
    rows = [panel for panel in dashboard.render(spec(EVERYTHING), SCOPE)["panels"] if panel["type"] == "row"]
    slos = [
        (row["title"].split(":")[0], row["collapsed"], len(row["panels"])) for row in rows if "SLO " in row["title"]
    ]
    assert slos[5:] == [("SLO six", False, 0), ("SLO seven", True, 7), ("SLO eight", True, 7)]


def test_a_spec_without_slos_has_no_slo_panels() -> None:
    """A spec without SLOs still gets a dashboard of alerts and freezes."""
    found = dashboard.render(spec(ALERTS_ONLY), SCOPE)
    assert [panel["title"] for panel in found["panels"]] == [
        "Now",
        "Freeze",
        "Alerts firing",
        "Rollback",
        "Open incidents",
        "Alerts",
        "History",
        "Freeze, rollback and incidents over time",
        "Alerts over time",
    ]


def test_own_panels_come_in_full_lines_with_numbers_on_top() -> None:
    """Numbers and dials, then graphs and tables, then timelines."""
    found = dashboard.render(spec(EVERYTHING), SCOPE)
    titles = [panel["title"] for panel in found["panels"]]
    start = titles.index("every.thing")
    assert titles[start + 1 : start + 8] == ["Numbers", "Dial", "Bars", "Lines", "One line", "Rows", "States"]
    widths = [panel["gridPos"]["w"] for panel in found["panels"]][start + 1 : start + 8]
    assert widths == [8, 8, 8, 8, 8, 8, 24]


def test_one_or_two_numbers_stand_beside_the_first_graphs() -> None:
    """One or two numbers share a column: no number fills a whole line."""
    text = MINIMAL + "dashboard:\n  panels:\n"
    text += "".join(f"    - {{title: {name}, type: {kind}, query: up}}\n" for name, kind in _FEW)
    found = by_title(dashboard.render(spec(text), SCOPE))
    places = [tuple(found[name]["gridPos"][key] for key in "xwh") for name, _ in _FEW]
    assert places == [(0, 6, 5), (0, 6, 5), (6, 9, 10), (15, 9, 10), (0, 24, 8)]


_FEW = [("A", "stat"), ("B", "gauge"), ("C", "timeseries"), ("D", "timeseries"), ("E", "timeseries")]


def test_the_axis_starts_at_zero_unless_low_values_are_the_bad_ones() -> None:
    """A success ratio between 90 and 100 % would be a flat line at the top."""
    text = (
        MINIMAL
        + "dashboard: {panels: [{title: Up, query: up, steps: [1, 2]}, {title: Down, query: up, falling: [2, 1]}]}"
    )
    found = by_title(dashboard.render(spec(text), SCOPE))
    soft = {title: "axisSoftMin" in found[title]["fieldConfig"]["defaults"]["custom"] for title in ("Up", "Down")}
    assert soft == {"Up": True, "Down": False}


def test_the_overview_shows_the_least_budget_first_and_who_is_frozen() -> None:
    """The table is sorted by the budget left, and shows whether releases are frozen."""
    found = by_title(dashboard.render_overview(committed_specs(), SCOPE))
    services = found["Services"]
    assert services["options"]["sortBy"] == [{"desc": False, "displayName": "Budget left"}]
    assert "freezeline_frozen" in services["targets"][4]["expr"]
    assert "sort(bottomk(20" in found["Budget left, worst first"]["targets"][0]["expr"]


def test_series_of_another_set_are_never_read() -> None:
    """Every query of an SLO series filters on the scope."""
    seen = set()
    for found in (dashboard.render(spec(EVERYTHING), SCOPE), dashboard.render_overview(committed_specs(), SCOPE)):
        asked = [target["expr"] for panel in panels(found) for target in panel["targets"]]
        asked += [one["query"]["query"] for one in found["templating"]["list"] if one["type"] == "query"]
        for name, matchers in re.findall(r"(slo:\w+(?::\w+)?)(\{[^}]*\})?", "\n".join(asked)):
            assert f'scope="{SCOPE}"' in matchers, (found["title"], name)
            seen.add(name)
    assert seen >= {"slo:error_ratio", "slo:error_budget", "slo:error_budget_remaining", "slo:total:rate5m"}


def test_lines_are_spread_over_24_columns() -> None:
    """As equal as whole columns allow, and never a lonely panel more than needed."""
    assert (spread(5), spread(3), in_lines(7, 3), in_lines(4, 3), in_lines(0, 3)) == (
        [5, 5, 5, 5, 4],
        [8, 8, 8],
        [3, 2, 2],
        [2, 2],
        [],
    )


def test_a_line_wider_than_the_grid_is_a_bug() -> None:
    """It would overlap the next one in Grafana."""
    wide = {"gridPos": {"h": 1, "w": 13}}
    with pytest.raises(ValueError, match="26 columns"):
        place([Section(title="x", lines=([[wide], [wide]],))])


def test_queries_are_named_as_grafana_names_them() -> None:
    """A to Z, then AA."""
    assert [reference(index) for index in (0, 25, 26, 27, 52)] == ["A", "Z", "AA", "AB", "BA"]
