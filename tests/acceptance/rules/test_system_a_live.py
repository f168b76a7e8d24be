"""System A's rules in a real Prometheus that scrapes a small real service."""

import time
from pathlib import Path

import pytest

from generator import pipeline
from tests.acceptance.rules.service import running
from tests.tools import ROOT, Generation, PrometheusServer, prometheus_server
from tests.waiting import wait_until

SHIPPED = 1
# The old generation, and the shipped durations (two minutes), only by `./dev soak`.
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.long,
    pytest.mark.timed,
    pytest.mark.parametrize("generation", ["current", pytest.param("old", marks=pytest.mark.soak)], indirect=True),
    pytest.mark.parametrize("faster", [5, pytest.param(SHIPPED, marks=pytest.mark.soak)]),
    pytest.mark.timeout(400),
]

SPEC = ROOT / "slos" / "failure-budget.yaml"
CONFIG = """\
global: {{scrape_interval: {scrape}s, scrape_timeout: 1s, evaluation_interval: {interval}s}}
rule_files: [rules/*.rules.yml]
scrape_configs:
  - job_name: gateway
    static_configs: [{{targets: ["{address}"]}}]
"""
PROMISE_S = 60  # FailureRateHigh: `within: 1m`, from the first bad sample scraped
RANGE_S, INTERVAL_S, SCRAPE_S, FOR_S = 60, 15, 5, 30
DURATIONS = {
    "interval: {}": INTERVAL_S,
    "scrape: {}": SCRAPE_S,
    "over: {}": RANGE_S,
    "for: {}\n": FOR_S,
    "within: {}": PROMISE_S,
}


def firing(server: PrometheusServer, name: str) -> list[dict[str, str]]:
    """Labels of the firing alerts of a name."""
    return [
        alert["labels"]
        for alert in server.alerts()
        if alert["labels"]["alertname"] == name and alert["state"] == "firing"
    ]


def write_rules(directory: Path, faster: int) -> None:
    """The rules of the committed spec with every duration of the alert and its samples divided by `faster`."""
    text = SPEC.read_text()
    for place, seconds in DURATIONS.items():
        shipped = place.format("1m" if seconds == 60 else f"{seconds}s")
        assert text.count(shipped) == 1, shipped
        text = text.replace(shipped, place.format(f"{seconds // faster}s"))
    loaded = pipeline.load_set([(f"slos/{SPEC.name}", text.encode())], "slos")
    assert loaded.problems.errors == []
    for path, data in pipeline.render_set(loaded.output_set, ("rules",)).outputs.items():
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        (directory / path).write_bytes(data)


def test_failure_rate_alert_fires_and_resolves_as_promised(generation: Generation, faster: int, tmp_path: Path) -> None:
    """It is silent at 0.2 %, fires within its promise at 10 %, and resolves once the range is clean again."""
    write_rules(tmp_path, faster)
    with running(per_second=40) as service:
        service.fail_every = 500
        config = CONFIG.format(address=service.address, interval=INTERVAL_S // faster, scrape=SCRAPE_S // faster)
        with prometheus_server(generation, tmp_path, config) as server:
            wait_until(lambda: server.query("slo:error_ratio"), 90, "the SLO's ratio is recorded")
            assert firing(server, "FailureRateHigh") == []
            begun = time.time()
            service.fail_every = 10
            wait_until(lambda: firing(server, "FailureRateHigh"), 2 * PROMISE_S, "the alert fires")
            assert time.time() - begun <= (PROMISE_S + SCRAPE_S) / faster
            labels = firing(server, "FailureRateHigh")[0]
            expected = {"alertname": "FailureRateHigh", "severity": "critical", "service": "gateway", "team": "gateway"}
            assert expected == labels
            healed = time.time()
            service.fail_every = 0
            wait_until(lambda: not firing(server, "FailureRateHigh"), 2 * RANGE_S + 60, "the alert resolves")
            assert time.time() - healed <= (RANGE_S + INTERVAL_S + 2 * SCRAPE_S) / faster
            slow = {group["name"]: group["evaluationTime"] for group in server.rule_groups()}
            assert max(slow.values()) < 1
