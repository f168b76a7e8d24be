"""Beside the rules and the Alertmanager configuration that kube-prometheus installs, our watchdog stays loud."""

from pathlib import Path
from typing import Any

import pytest

from freezeline.cli import main
from generator.render.rules import self_rules
from tests.tools import ROOT, Generation, alertmanager_server, prometheus_server
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

DATA = ROOT / "tests" / "data" / "alertmanager-configs"
CONFIG = """\
global: {{evaluation_interval: 1s}}
rule_files: [rules/*.rules.yml]
alerting:
  alertmanagers: [{{static_configs: [{{targets: ["{address}"]}}]}}]
"""


def by_name(alerts: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Alertmanager's status of each alert, by the alert's name."""
    return {alert["labels"]["alertname"]: alert["status"] for alert in alerts}


def test_the_info_inhibitor_leaves_the_watchdog_alone(generation: Generation, tmp_path: Path) -> None:
    """InfoInhibitor silences an `info` alert in the same Alertmanager, and the watchdog is still sent."""
    rules = tmp_path / "rules"
    rules.mkdir()
    (rules / "kube-prometheus.rules.yml").write_text((DATA / "kube-prometheus.rules.yml").read_text())
    ours = self_rules.render("slos", acts=True).text()[0]
    assert ours.count("interval: 30s") == 1
    (rules / "freezeline.rules.yml").write_text(ours.replace("interval: 30s", "interval: 1s"))
    config = tmp_path / "kube-prometheus.yml"
    config.write_text((DATA / "kube-prometheus.yml").read_text())
    assert main(["alertmanager", "merge", "--write", str(config), str(ROOT / "slos")]) == 0
    resend = ["--rules.alert.resend-delay=1s"]  # the first sending may come before Alertmanager is found
    with (
        alertmanager_server(generation, tmp_path, config.read_text()) as alertmanager,
        prometheus_server(generation, tmp_path, CONFIG.format(address=alertmanager.address), flags=resend),
    ):

        def silenced() -> dict[str, dict[str, Any]] | None:
            found = by_name(alertmanager.alerts())
            witness = found.get("SomethingMild", {"state": "absent"})
            return found if witness["state"] == "suppressed" and "FreezelineWatchdog" in found else None

        found = wait_until(silenced, 60, "InfoInhibitor silences the alert that is only for information")
    assert found["FreezelineWatchdog"]["inhibitedBy"] == []
    assert found["FreezelineWatchdog"]["state"] == "active"


def test_the_watchdog_has_the_severity_of_the_fields_own() -> None:
    """kube-prometheus' Watchdog and ours have the same severity."""
    theirs = (DATA / "kube-prometheus.rules.yml").read_text()
    assert "- alert: Watchdog\n    expr: vector(1)\n    labels: {severity: none}\n" in theirs
    watchdog = next(
        rule for rule in self_rules.render("slos", acts=True).groups[0].rules if rule.alert == "FreezelineWatchdog"
    )
    assert watchdog.labels["severity"] == "none"
