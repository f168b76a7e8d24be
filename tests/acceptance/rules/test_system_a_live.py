"""System A's shipped rules in a real Prometheus that scrapes a small real service."""

import shutil
import time
from pathlib import Path

import pytest

from tests.acceptance.rules.service import running
from tests.tools import ROOT, Generation, PrometheusServer, prometheus_server
from tests.waiting import wait_until

# Minutes of waiting and hardly any work: beside the other tests. The old generation only by `./dev soak`.
pytestmark = [
    pytest.mark.acceptance,
    pytest.mark.xdist_group("live-rules"),
    pytest.mark.parametrize("generation", ["current", pytest.param("old", marks=pytest.mark.soak)], indirect=True),
    pytest.mark.timeout(400),
]

CONFIG = """\
global: {{scrape_interval: 5s, evaluation_interval: 15s}}
rule_files: [failure-budget.rules.yml, shared.30d-15s.rules.yml]
scrape_configs:
  - job_name: gateway
    static_configs: [{{targets: ["{address}"]}}]
"""
PROMISE_S = 60  # FailureRateHigh: `within: 1m`, from the first bad sample scraped
RANGE_S, INTERVAL_S, SCRAPE_S = 60, 15, 5


def firing(server: PrometheusServer, name: str) -> list[dict[str, str]]:
    """Labels of the firing alerts of a name."""
    return [
        alert["labels"]
        for alert in server.alerts()
        if alert["labels"]["alertname"] == name and alert["state"] == "firing"
    ]


def test_failure_rate_alert_fires_and_resolves_as_promised(generation: Generation, tmp_path: Path) -> None:
    """It is silent at 0.2 %, fires within its minute at 10 %, and resolves once the range is clean again."""
    for name in ("failure-budget.rules.yml", "shared.30d-15s.rules.yml"):
        shutil.copy(ROOT / "rules" / name, tmp_path / name)
    with running(per_second=40) as service:
        service.fail_every = 500
        config = CONFIG.format(address=service.address)
        with prometheus_server(generation, tmp_path, config) as server:
            wait_until(lambda: server.query("slo:error_ratio"), 90, "the SLO's ratio is recorded")
            assert firing(server, "FailureRateHigh") == []
            begun = time.time()
            service.fail_every = 10
            wait_until(lambda: firing(server, "FailureRateHigh"), 2 * PROMISE_S, "the alert fires")
            assert time.time() - begun <= PROMISE_S + SCRAPE_S
            labels = firing(server, "FailureRateHigh")[0]
            expected = {"alertname": "FailureRateHigh", "severity": "critical", "service": "gateway", "team": "gateway"}
            assert expected == labels
            healed = time.time()
            service.fail_every = 0
            wait_until(lambda: not firing(server, "FailureRateHigh"), 2 * RANGE_S + 60, "the alert resolves")
            assert time.time() - healed <= RANGE_S + INTERVAL_S + 2 * SCRAPE_S
            slow = {group["name"]: group["evaluationTime"] for group in server.rule_groups()}
            assert max(slow.values()) < 1
