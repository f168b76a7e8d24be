"""Alerts that others wrote without a summary: a sentence from their expression, kind and units."""

import json
from urllib.parse import quote

import pytest

from receiver.webhook.foreign import said, sentence
from receiver.webhook.ingest import parse_delivery

RATIO = "sum by (route) (rate(http_errors_total[5m])) / sum by (route) (http_requests_total)"


def link(expression: str) -> str:
    """A link to Prometheus' graph, as rules give it."""
    return f"http://prom:9090/graph?g0.expr={quote(expression)}&g0.tab=1"


@pytest.mark.parametrize(
    "expression, wanted",
    [
        (
            f"{RATIO} > 0.005",
            "the ratio of http_errors_total per second over 5 min to http_requests_total is above 0.5 % (route /pay)",
        ),
        (
            "histogram_quantile(0.95, sum by (le) (rate(http_request_duration_seconds_bucket[10m]))) > 0.8",
            "the 95th percentile of http_request_duration_seconds over 10 min is above 0.8 s",
        ),
        (
            "increase(dlq_entries_total[10m]) >= 5",
            "the increase of dlq_entries_total over 10 min is at least 5 (instance a:1)",
        ),
        ("node_memory_free_bytes < 1073741824", "node_memory_free_bytes is below 1 GiB (instance a:1)"),
        ("disk_used_ratio > 0.9", "disk_used_ratio is above 90 % (instance a:1)"),
        ("avg_over_time(cpu_pct[1h]) > 80", "the average of cpu_pct over 1 h is above 80 % (instance a:1)"),
        ("max by (route) (queue_length) > 50", "the highest queue_length is above 50 (route /pay)"),
        ("count(up == 0) > 2", "JobDown fires (instance a:1)"),
        ("up == 0", "up is 0 (instance a:1)"),
        ("50 < queue_length", "queue_length is above 50 (instance a:1)"),
        ("(queue_length > 50) and on() (workers == 0)", "queue_length is above 50 (instance a:1)"),
        ('absent(up{job="api"})', "there is no data of up (instance a:1)"),
        ("predict_linear(x[1h], 3600) > 5", "JobDown fires (instance a:1)"),
        ("a > b", "JobDown fires (instance a:1)"),
        ("not promql at all (", "JobDown fires (instance a:1)"),
        ("(" * 450 + "1" + ")" * 450, "JobDown fires (instance a:1)"),
        ("-" * 900 + "x > 1", "JobDown fires (instance a:1)"),
        ("x" * 1001 + " > 1", "JobDown fires (instance a:1)"),
    ],
)
def test_the_sentence_says_what_is_measured_and_its_limit(expression: str, wanted: str) -> None:
    """By kind and unit; a form that nobody knows gives the alert's name."""
    labels = {"alertname": "JobDown", "route": "/pay", "instance": "a:1"}
    assert sentence({}, labels, link(expression)) == wanted


@pytest.mark.parametrize("url", [None, 7, "", "http://[", "http://h/?x=1", "http://h/?g0.expr=" + "a" * 9000])
def test_any_link_gives_a_sentence(url: object) -> None:
    """Grafana and others send links of their own."""
    assert sentence({"value": "7\x1b"}, {"alertname": "Odd"}, url) == "Odd fires, measured 7"


@pytest.mark.parametrize(
    "annotations, wanted",
    [
        ({"summary": "s", "message": "m"}, "s"),
        ({"description": "d", "message": "m"}, "d"),
        ({"message": "m", "title": "t"}, "m"),
        ({"title": "t"}, "t"),
        ({"summary": "", "runbook_url": "http://r"}, "Odd fires"),
    ],
)
def test_what_somebody_wrote_comes_first(annotations: dict[str, str], wanted: str) -> None:
    """And nothing else of the annotations changes."""
    told = said(annotations, {"alertname": "Odd"}, None)
    assert told["summary"] == wanted
    assert {name: text for name, text in told.items() if name != "summary"} == {
        name: text for name, text in annotations.items() if name != "summary"
    }


def test_a_webhook_of_a_foreign_alert_has_a_sentence() -> None:
    """Page, notices, command line and journal all read this summary."""
    alert = {
        "status": "firing",
        "labels": {"alertname": "QueueLong"},
        "startsAt": "2026-01-02T03:04:05Z",
        "fingerprint": "a1",
        "generatorURL": link("queue_length > 50"),
    }
    (read,) = parse_delivery(json.dumps({"version": "4", "alerts": [alert]}).encode()).alerts
    assert read.annotations == {"summary": "queue_length is above 50"}
    (odd,) = parse_delivery(json.dumps({"version": "4", "alerts": [alert | {"generatorURL": 7}]}).encode()).alerts
    assert odd.annotations == {"summary": "QueueLong fires"}
