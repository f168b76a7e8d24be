"""What fired alerts say, expanded by real promtools from the generated files as they are written.

Two specs share one set of alerts: one names a runbook and a Grafana, the other neither.
"""

from pathlib import Path
from typing import Any

import pytest
import yaml

from generator import pipeline
from generator.prometheus.promtool import find
from tests.tools import Generation

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(120)]

LINKED = """\
apiVersion: freezeline/v1
service: shop
owner: {team: shop}
defaults:
  interval: 1m
  scrape: 30s
  runbook: "https://runbooks.example.org/{service}/{alert}"
  grafana: "https://grafana.example.org"
slos:
  orders:
    objective: 99.5
    tiers: {quick: {share: 5%, long: 30m, short: 5m, severity: critical}}
    sli: {bad: 'orders_total{code="500"}', total: orders_total}
alerts:
  FailuresHigh:
    {ratio: {bad: 'orders_total{code="500"}', total: orders_total}, over: 5m, above: 2.5%, severity: critical}
  OrdersSlow:   {p95_of: order_seconds, over: 5m, above: 400ms, severity: warning}
  QueueSlow:    {p95_of: queue_seconds, over: 5m, above: 2m, severity: warning}
  ManyBytes:    {increase_of: sent_bytes_total, over: 5m, above: 1000, severity: warning}
  ManyErrors:   {increase_of: 'orders_total{code="500"}', over: 5m, at_least: 5, severity: warning}
  SmallShare:   {when: 'min(free_share) < 0.1', for: 2m, severity: warning}
  FewShares:    {when: 'min(free_share) < 5', severity: warning}
  AnyShare:     {when: 'min(free_share)', severity: warning}
  ManyRows:     {when: 'max(rows) > 1000', severity: warning}
  Thrice:       {when: 'max(rows) > 1000', consecutive: 3, severity: warning}
  ThriceEach:   {when: 'max by (kind) (lines) > 1000', consecutive: 3, severity: warning}
  ThriceOf:     {increase_of: lines_total, by: [kind], over: 5m, above: 10, consecutive: 3, severity: warning}
"""
BARE = """\
apiVersion: freezeline/v1
service: store
owner: {team: store}
defaults: {interval: 1m, scrape: 30s}
slos:
  visits:
    objective: 99
    tiers: {quick: {share: 5%, long: 30m, short: 5m, severity: critical}}
    sli: {bad: 'visits_total{code="500"}', total: visits_total}
  gone:
    objective: 99
    tiers: {quick: {share: 5%, long: 30m, short: 5m, severity: critical}}
    sli: {bad: 'gone_total{code="500"}', total: gone_total}
alerts:
  VisitsFail:
    {ratio: {bad: 'visits_total{code="500"}', total: visits_total}, over: 5m, above: 2.5%, severity: critical}
"""
SERIES = {
    'orders_total{code="200"}': "0+30x60",
    'orders_total{code="500"}': "0+10x60",
    'visits_total{code="200"}': "0+30x60",
    'visits_total{code="500"}': "0+90x60",
    'order_seconds_bucket{le="0.45"}': "0+95x60",
    'order_seconds_bucket{le="+Inf"}': "0+100x60",
    'queue_seconds_bucket{le="185.5"}': "0+95x60",
    'queue_seconds_bucket{le="+Inf"}': "0+100x60",
    "sent_bytes_total": "0+157286.4x60",
    "free_share": "0.0718x60",
    "rows": "1234567x60",
    'lines{kind="long"}': "5000x60",
    'lines_total{kind="long"}': "0+20x60",
    'lines_total{kind="few"}': "0+0x60",
    'lines_total{kind="middle"}': "0+4x60",
    'lines{kind="few"}': "10x60",
    'lines{kind="`odd` {{ 1 }}"}': "2000x60",
}
VALUE = b"          value: '{{ $value }}'\n"
HOME = "https://grafana.example.org/d/freezeline-shop/freezeline-shop"
FAILURES = 'orders_total{code="500"} / orders_total over 5 min'


def graph(slo: str) -> str:
    """Prometheus' own graph of an SLO's error ratio; promtool has no address of its own."""
    expr = f'slo:error_ratio{{service="store",slo="{slo}",scope="slos"}}'
    quoted = expr.translate({ord(char): f"%{ord(char):02X}" for char in '":,={}'})
    return f"/graph?g0.expr={quoted}&g0.tab=0"


def outputs(*specs: tuple[str, str]) -> dict[str, bytes]:
    """The rule files of specs that are generated together."""
    loaded = pipeline.load_set([(f"slos/{name}.yaml", text.encode()) for name, text in specs], "slos")
    assert loaded.problems.errors == []
    return pipeline.render_set(loaded.output_set, ("rules",)).outputs


def write(folder: Path, found: dict[str, bytes]) -> list[str]:
    """The rule files in one folder, as they are but for `value`: its last digits differ between processors."""
    for path, data in found.items():
        alerts, values = data.count(b"- alert: "), data.count(VALUE)
        assert values in (alerts, alerts - 1)  # of nothing there is no value
        (folder / Path(path).name).write_bytes(data.replace(VALUE, b""))
    return [Path(path).name for path in found]


def spec_of(found: dict[str, bytes], service: str) -> str:
    """The reference of a spec, from its info series."""
    rules = yaml.safe_load(found[f"rules/{service}.rules.yml"])["groups"]
    infos = (rule for group in rules for rule in group["rules"] if rule.get("record") == "slo:info")
    return str(next(infos)["labels"]["spec"])


def alert(labels: dict[str, str], **annotations: str) -> dict[str, Any]:
    """One firing alert."""
    return {"exp_labels": labels, "exp_annotations": annotations}


def run(generation: Generation, folder: Path, found: dict[str, bytes], expected: dict[str, list[Any]]) -> None:
    """Hold promtool to the alerts that fire after 25 minutes."""
    tests = [
        {
            "interval": "30s",
            "input_series": [{"series": name, "values": values} for name, values in SERIES.items()],
            "alert_rule_test": [
                {"alertname": name, "eval_time": "25m", "exp_alerts": alerts} for name, alerts in expected.items()
            ],
        }
    ]
    content = {"rule_files": write(folder, found), "evaluation_interval": "1m", "tests": tests}
    (folder / "texts.test.yml").write_text(yaml.safe_dump(content))
    tool = find("promtool", environment={}, given=str(generation.promtool))
    outcome = tool.test_rules([Path("texts.test.yml")], folder)
    assert (outcome.ok, [message.text for message in outcome.messages]) == (True, [])


def test_shared_alerts_of_slos_with_and_without_links(generation: Generation, tmp_path: Path) -> None:
    """Each has its own links; where an SLO lacks one, Prometheus' graph is linked, and no annotation is empty."""
    found = outputs(("shop", LINKED), ("store", BARE))

    def identity(service: str, slo: str, severity: str, **more: str) -> dict[str, str]:
        return {"service": service, "slo": slo, "scope": "slos", "team": service, "severity": severity, **more}

    def linked(name: str) -> dict[str, str]:
        runbook = f"https://runbooks.example.org/shop/{name}"
        return {"runbook_url": runbook, "dashboard_url": HOME, "spec": spec_of(found, "shop")}

    def bare(slo: str) -> dict[str, str]:
        return {"runbook_url": graph(slo), "dashboard_url": graph(slo), "spec": spec_of(found, "store")}

    burning = "error ratio 75 % over 30 min, 75× the sustainable rate; the limit is 72×"
    meaning = "Also exceeded over 5 min. At 72×, 30 min spends 5 % of the 30-day budget."
    consumed = {"severity": "critical", "budget_consumed": "100"}
    half = {"severity": "warning", "budget_consumed": "50"}
    expected = {
        "SLOBudgetBurn": [
            alert(
                identity("store", "visits", "critical", tier="quick"),
                summary=f"store visits: {burning}",
                description=meaning,
                **bare("visits"),
            ),
        ],
        "SLOBudgetConsumed": [
            alert(
                {**identity(service, slo, ""), **labels},
                summary=f"{service} {slo}: the 30-day budget is overspent by {over}; the limit is {left} left",
                description=f"{labels['budget_consumed']} % of the 30-day budget is spent.",
                **links,
            )
            for labels, left in ((half, "50 %"), (consumed, "0 %"))
            for service, slo, over, links in (
                ("shop", "orders", "4900 %", linked("SLOBudgetConsumed")),
                ("store", "visits", "7400 %", bare("visits")),
            )
        ],
        "SLONoData": [
            alert(
                identity("store", "gone", "warning"),
                summary="store gone: nothing was measured for 10 min",
                description="The targets are gone, or a metric was renamed. The other alerts of this SLO cannot fire.",
                value="no data",
                **bare("gone"),
            )
        ],
    }
    run(generation, tmp_path, found, expected)


def test_alerts_of_a_set_without_links(generation: Generation, tmp_path: Path) -> None:
    """Where no SLO of a set has a link, and where a plain alert has none, there is no such annotation."""
    found = outputs(("store", BARE))
    expected = {
        "SLONoData": [
            alert(
                {"service": "store", "slo": "gone", "scope": "slos", "team": "store", "severity": "warning"},
                summary="store gone: nothing was measured for 10 min",
                description="The targets are gone, or a metric was renamed. The other alerts of this SLO cannot fire.",
                value="no data",
                spec=spec_of(found, "store"),
            )
        ],
        "VisitsFail": [
            alert(
                {"service": "store", "team": "store", "severity": "critical"},
                summary="75 % of visits failed over 5 min; the limit is 2.5 %",
                description='75 % now. The alert fires while visits_total{code="500"} / visits_total over 5 min'
                " > 2.5 %.",
                spec=spec_of(found, "store"),
            )
        ],
    }
    run(generation, tmp_path, found, expected)


def test_plain_alerts_say_their_value_in_its_unit(generation: Generation, tmp_path: Path) -> None:
    """Percentages, durations, bytes, whole events and plain numbers, each as people write them."""
    found = outputs(("shop", LINKED))
    rows = "max(rows) is 1.235M; the limit is 1000 in 3 evaluations in a row, 1 min apart"
    said = {
        "FailuresHigh": (
            "critical",
            "25 %",
            f"{FAILURES} > 2.5 %",
            "25 % of orders failed over 5 min; the limit is 2.5 %",
        ),
        "OrdersSlow": (
            "warning",
            "450 ms",
            "p95 of order_seconds over 5 min > 400 ms",
            "p95 of order was 450 ms over 5 min; the limit is 400 ms",
        ),
        "QueueSlow": (
            "warning",
            "3 min 5 s",
            "p95 of queue_seconds over 5 min > 2 min",
            "p95 of queue was 3 min 5 s over 5 min; the limit is 2 min",
        ),
        "ManyBytes": (
            "warning",
            "1.5 MiB",
            "increase of sent_bytes_total over 5 min > 1000",
            "sent grew by 1.5 MiB over 5 min; the limit is 1000 B",
        ),
        "ManyErrors": (
            "warning",
            "100",
            'increase of orders_total{code="500"} over 5 min >= 5',
            "orders (code 500) grew by 100 over 5 min; the alert begins at 5",
        ),
        "SmallShare": (
            "warning",
            "0.0718",
            "min(free_share) < 0.1",
            "min(free_share) is 0.0718; the minimum is 0.1 for 2 min",
        ),
        "FewShares": ("warning", "0.0718", "min(free_share) < 5", "min(free_share) is 0.0718; the minimum is 5 now"),
        "AnyShare": ("warning", "0.0718", "min(free_share)", "min(free_share) returns 0.0718 now"),
        "ManyRows": ("warning", "1.235M", "max(rows) > 1000", "max(rows) is 1.235M; the limit is 1000 now"),
        "Thrice": ("warning", "", "max(rows) > 1000", rows),
    }
    expected = {
        name: [
            alert(
                {"service": "shop", "team": "shop", "severity": severity},
                summary=summary,
                description=f"{shown} now. The alert fires while {condition}."
                if shown
                else f"3 evaluations in a row breach the limit. The alert fires while {condition}.",
                runbook_url=f"https://runbooks.example.org/shop/{name}",
                dashboard_url=HOME,
                spec=spec_of(found, "shop"),
            )
        ]
        for name, (severity, shown, condition, summary) in said.items()
    }
    counted = {
        "ThriceEach": {
            "max by (kind) (lines) > 1000": [
                ("`odd` {{ 1 }}", "max by (kind) (lines) is 2k; the limit is 1000"),
                ("long", "max by (kind) (lines) is 5k; the limit is 1000"),
            ]
        },
        "ThriceOf": {
            "increase of lines_total over 5 min > 10": [
                ("long", "lines grew by 200 over 5 min (kind long); the limit is 10"),
                ("middle", "lines grew by 40 over 5 min (kind middle); the limit is 10"),
            ]
        },
    }
    for name, conditions in counted.items():
        expected[name] = [
            alert(
                {"service": "shop", "team": "shop", "severity": "warning", "kind": kind},
                summary=f"{summary} in 3 evaluations in a row, 1 min apart",
                description=f"3 evaluations in a row breach the limit. The alert fires while {condition}.",
                runbook_url=f"https://runbooks.example.org/shop/{name}",
                dashboard_url=HOME,
                spec=spec_of(found, "shop"),
            )
            for condition, groups in conditions.items()
            for kind, summary in groups
        ]
    run(generation, tmp_path, found, expected)
