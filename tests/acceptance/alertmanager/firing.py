"""Alerts as Prometheus posts them, and what Alertmanager says of them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.tools import AlertmanagerServer

ANNOTATIONS = {
    "summary": "failure rate 2.31 % > 0.5 %",
    "description": "One request in fifty fails.",
    "runbook_url": "https://runbooks.example.org/gateway/FailureRateHigh",
    "dashboard_url": "https://grafana.example.org/d/freezeline-failure-budget",
}


def alert(
    labels: Mapping[str, str], *, resolved: bool = False, annotations: Mapping[str, str] = ANNOTATIONS
) -> dict[str, Any]:
    """One alert, firing for the next hour or ended just now."""
    now = datetime.now(UTC)
    ends_at = now if resolved else now + timedelta(hours=1)
    return {
        "labels": dict(labels),
        "annotations": dict(annotations),
        "startsAt": (now - timedelta(seconds=30)).isoformat(),
        "endsAt": ends_at.isoformat(),
        "generatorURL": "http://127.0.0.1:9090/graph?g0.expr=up",
    }


def state(server: AlertmanagerServer, labels: Mapping[str, str]) -> tuple[str, list[str]]:
    """`active` or `suppressed`, and the fingerprints of what inhibits it; ("absent", []) where it is not known."""
    for found in server.alerts():
        if found["labels"] == dict(labels):
            return found["status"]["state"], found["status"]["inhibitedBy"]
    return "absent", []


def fingerprint(server: AlertmanagerServer, labels: Mapping[str, str]) -> str:
    """Alertmanager's name for an alert. Raises StopIteration where it has none."""
    found: str = next(one["fingerprint"] for one in server.alerts() if one["labels"] == dict(labels))
    return found
