"""`dashboard_url` of a grouped alert, expanded by real promtools: it opens the dashboard with the group chosen."""

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote

import pytest
import yaml

from generator import pipeline
from generator.prometheus.promtool import find
from generator.proofs.series import series_name
from tests.tools import Generation

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

SPEC = """\
apiVersion: freezeline/v1
service: shop
owner: {team: shop}
defaults: {interval: 1m, scrape: 30s, grafana: "https://grafana.example.org/"}
slos:
  by-route:
    objective: 99.5
    group_by: [route, datasource]
    tiers: {quick: {share: 5%, long: 30m, short: 5m, severity: critical}}
    sli: {bad: 'hits_total{code="500"}', total: hits_total}
  whole:
    objective: 99.5
    tiers: {quick: {share: 5%, long: 30m, short: 5m, severity: critical}}
    sli: {bad: 'calls_total{code="500"}', total: calls_total}
alerts:
  RouteSlow: {when: 'max by (route, datasource) (route_seconds) > 1', severity: warning}
  QueueLong: {when: 'max by (queue) (queue_length) > 1', severity: warning}
"""
HOME = "https://grafana.example.org/d/freezeline-shop/freezeline-shop"
# Each is put into a URL that people click on, and that Slack and e-mail show.
ROUTES = ["/pay", "/a b+c", "/x?y=1&var-route=z#f", "|<b>\"'`{{ $value }}%41\\", "ü/{id}", ""]
GROUPS = [{"route": route, "datasource": f"d {number}"} for number, route in enumerate(ROUTES)]
COUNTERS = ("hits_total", "calls_total")


def url_of(group: dict[str, str]) -> str:
    """The dashboard with a group chosen: `datasource` is a variable of every dashboard, so the label's has a prefix."""
    chosen = [f"var-label_datasource={quote(group['datasource'], safe='')}"]
    if group["route"]:
        chosen.append(f"var-route={quote(group['route'], safe='')}")
    return f"{HOME}?{'&'.join(chosen)}"


def rule_files(folder: Path) -> list[str]:
    """The generated rules, of whose annotations only the links to the dashboard are kept."""
    loaded = pipeline.load_set([("slos/shop.yaml", SPEC.encode())], "slos")
    assert loaded.problems.errors == []
    outputs = pipeline.render_set(loaded.output_set, ("rules",)).outputs
    names = []
    for path, data in outputs.items():
        content = yaml.safe_load(data)
        for rule in (rule for group in content["groups"] for rule in group["rules"] if "alert" in rule):
            rule["annotations"] = {"dashboard_url": rule["annotations"].get("dashboard_url", "")}
        (folder / Path(path).name).write_text(yaml.safe_dump(content))
        names.append(Path(path).name)
    return names


def input_series() -> list[dict[str, str]]:
    """Half of everything fails, for every route and without one; every route is slow."""
    found = [series_name("queue_length", {"queue": "q"}) + " 5+0x90"]
    for group in [*GROUPS, {}]:
        metric = COUNTERS[0] if group else COUNTERS[1]
        found += [series_name(metric, {**group, "code": code}) + " 0+50x90" for code in ("200", "500")]
    found += [series_name("route_seconds", group) + " 5+0x90" for group in GROUPS]
    return [dict(zip(("series", "values"), each.rsplit(" ", 1), strict=True)) for each in found]


def expectation(alert: str, more: dict[str, str], fired: list[tuple[dict[str, str], str]]) -> dict[str, Any]:
    """What promtool must find after 30 minutes: labels of the sample and the link, of each firing alert."""
    return {
        "alertname": alert,
        "eval_time": "30m",
        "exp_alerts": [
            {
                "exp_labels": {"service": "shop", "team": "shop", **more, **{k: v for k, v in labels.items() if v}},
                "exp_annotations": {"dashboard_url": url},
            }
            for labels, url in fired
        ],
    }


def test_the_group_of_an_alert_is_chosen_in_its_dashboard(generation: Generation, tmp_path: Path) -> None:
    """Whatever the value holds; an alert without a group, or by another label, opens the dashboard as it is."""
    burn = {"scope": "slos", "severity": "critical", "tier": "quick"}
    grouped = [({**group, "slo": "by-route"}, url_of(group)) for group in GROUPS]
    test = {
        "interval": "30s",
        "input_series": input_series(),
        "alert_rule_test": [
            expectation("SLOBudgetBurn", burn, [*grouped, ({"slo": "whole"}, HOME)]),
            expectation("RouteSlow", {"severity": "warning"}, [(group, url_of(group)) for group in GROUPS]),
            expectation("QueueLong", {"severity": "warning"}, [({"queue": "q"}, HOME)]),
        ],
    }
    content = {"rule_files": rule_files(tmp_path), "evaluation_interval": "1m", "tests": [test]}
    (tmp_path / "links.test.yml").write_text(yaml.safe_dump(content))
    tool = find("promtool", environment={}, given=str(generation.promtool))
    outcome = tool.test_rules([Path("links.test.yml")], tmp_path)
    assert (outcome.ok, [message.text for message in outcome.messages]) == (True, [])


@pytest.mark.parametrize("group", GROUPS, ids=range(len(GROUPS)))
def test_a_browser_reads_the_value_back(group: dict[str, str]) -> None:
    """What promtool was held to is a URL with exactly the group's values, and no markup in it."""
    url = url_of(group)
    read = {name: values[0] for name, values in parse_qs(url.partition("?")[2]).items()}
    assert read == {f"var-{'label_' * (name == 'datasource')}{name}": value for name, value in group.items() if value}
    assert not set(url) & set("<>|\"' +{}\\`")
