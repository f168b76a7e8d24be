"""Where dashboards are found: uids, the URL in alerts, the ways between dashboards and to runbooks."""

import json
import re

import pytest

from generator.panels.base import Json
from generator.pipeline import load_set
from generator.render.dashboards import dashboard
from generator.render.links import dashboard_uid, dashboard_url, overview_uid
from generator.render.rules import rules
from tests.unit.generator.render.dashboards.examples import EVERYTHING, MINIMAL, SCOPE, committed_specs, panels, spec


def test_a_plain_name_is_its_own_uid() -> None:
    """People can type it."""
    assert dashboard_uid("generation-service") == "freezeline-generation-service"


@pytest.mark.parametrize("name", ["a.b", "x" * 64, "a" * 31, "overview/slos", "ü"])
def test_other_names_become_short_plain_uids(name: str) -> None:
    """At most 40 characters, no dots, the same every time."""
    assert re.fullmatch(r"freezeline-[A-Za-z0-9_-]*-[0-9a-f]{8}", dashboard_uid(name))
    assert len(dashboard_uid(name)) <= 40
    assert dashboard_uid(name) == dashboard_uid(name)


def test_names_that_look_alike_have_different_uids() -> None:
    """`a.b` and `a-b` may live in one Grafana."""
    names = ["a.b", "a-b", "a_b", "x" * 63, "x" * 64]
    assert len({dashboard_uid(name) for name in names}) == len(names)


def test_the_url_is_built_on_any_base() -> None:
    """With a path and a slash or without."""
    assert dashboard_url("https://g.example.org", "a") == "https://g.example.org/d/freezeline-a/freezeline-a"
    assert (
        dashboard_url("https://example.org/grafana/", "a") == "https://example.org/grafana/d/freezeline-a/freezeline-a"
    )


def test_without_a_grafana_there_is_no_url() -> None:
    """An annotation that leads nowhere is worse than none."""
    assert dashboard_url("", "a") == ""


def test_the_url_in_every_alert_opens_the_dashboard_of_its_spec() -> None:
    """The uid in the rules' annotations and info series is the uid of the rendered dashboard."""
    for one in [*committed_specs(), spec(EVERYTHING, "every.thing")]:
        uid = dashboard.render(one, SCOPE)["uid"]
        found = rules.render(one, SCOPE)
        links = [rule.annotations["dashboard_url"] for group in found.groups for rule in group.rules if rule.alert]
        links += [
            rule.labels["dashboard"] for group in found.groups for rule in group.rules if rule.record == "slo:info"
        ]
        assert links
        for url in links:
            assert re.search(r"/d/([^/?]+)", url).group(1) == uid  # type: ignore[union-attr]


def test_every_dashboard_leads_to_the_overview_and_back() -> None:
    """The link at the top; and a row of the overview for each service, with its dashboard's uid."""
    specs = committed_specs()
    assert len(specs) >= 5
    overview = dashboard.render_overview(specs, SCOPE)
    for one in specs:
        rendered = dashboard.render(one, SCOPE)
        assert f"/d/{overview['uid']}" in [link["url"] for link in rendered["links"]]
        row = f'label_replace(label_replace(label_replace(vector(1), "service", "{one.service}", "", "")'
        assert row in table(overview, "Services")["targets"][0]["expr"]
        assert f'"dashboard", "{rendered["uid"]}"' in table(overview, "Services")["targets"][0]["expr"]


def test_each_set_has_an_overview_of_its_own() -> None:
    """Two teams share one Grafana."""
    assert overview_uid("a") != overview_uid("b")


def table(found: Json, title: str) -> Json:
    """The panel of that title."""
    return next(panel for panel in panels(found) if panel["title"] == title)


def test_runbooks_of_alerts_are_labels_that_the_table_links_to() -> None:
    """The spec's pattern, then what an SLO or an alert has of its own; `$` in a URL stays."""
    found = table(dashboard.render(spec(EVERYTHING), SCOPE), "Alerts")
    expr = found["targets"][0]["expr"]
    assert '"https://runbooks.example.org/every.thing/${1}?slo=${2}"' in expr
    assert '"https://wiki.example.org/by-route/${1}?cost=$$5"' in expr
    assert '"https://wiki.example.org/WithItsOwnPage", "alertname", "WithItsOwnPage"' in expr
    assert "${__data.fields.runbook:raw}" in json.dumps(found["fieldConfig"]["overrides"])


def test_slo_panels_link_to_the_runbook_of_their_alert() -> None:
    """Filled in with service, alert and SLO."""
    found = panels(dashboard.render(spec(EVERYTHING), SCOPE))
    links = {link["url"] for panel in found if panel["title"] == "Burn rate by tier" for link in panel["links"]}
    assert "https://runbooks.example.org/every.thing/SLOBudgetBurn?slo=availability" in links
    assert "https://wiki.example.org/by-route/SLOBudgetBurn?cost=$5" in links


def test_without_runbooks_nothing_links_to_one() -> None:
    """No dead links."""
    assert "runbook" not in json.dumps(dashboard.render(spec(MINIMAL), SCOPE)).lower()


def test_a_group_in_the_table_narrows_the_dashboard_to_it() -> None:
    """Drill-down: a click on a route sets the variable."""
    found = table(dashboard.render(spec(EVERYTHING, "every.thing"), SCOPE), "Objectives")
    urls = [
        link["url"]
        for override in found["fieldConfig"]["overrides"]
        for item in override["properties"]
        if item["id"] == "links"
        for link in item["value"]
    ]
    uid = dashboard_uid("every.thing")
    assert f"/d/{uid}?var-route=${{__data.fields.route:percentencode}}&${{__url_time_range}}" in urls
    assert f"/d/{uid}?var-label_datasource=${{__data.fields.datasource:percentencode}}&${{__url_time_range}}" in urls


def test_rendering_twice_gives_the_same_bytes() -> None:
    """`generate --check` compares them."""
    texts = []
    for _ in range(2):
        loaded = load_set([("slos/everything.yaml", EVERYTHING.encode())], SCOPE)
        texts.append(json.dumps(dashboard.render(loaded.output_set.specs[0], SCOPE)))
    assert texts[0] == texts[1]
