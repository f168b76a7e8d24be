"""On a real Alertmanager the generated route brings every alert to the webhook at once, and messages to people."""

import time
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.alertmanager.firing import alert
from tests.acceptance.alertmanager.sink import Sink, running_sink
from tests.acceptance.alertmanager.systems import specs, write_config
from tests.tools import AlertmanagerServer, Generation, alertmanager_server
from tests.waiting import wait_until

pytestmark = pytest.mark.acceptance

FIRST = {"alertname": "FailureRateHigh", "severity": "critical", "service": "gateway", "team": "gateway"}
SECOND = {**FIRST, "instance": "gateway-2"}
APART_S = 1.0
INTERVAL_S = 4  # the shipped group_interval is 10 s


def with_shorter_interval(config: dict[str, Any]) -> None:
    """Let the route of the webhook wait less than it ships with."""
    config["route"]["routes"][1]["group_interval"] = f"{INTERVAL_S}s"


def seconds_until_second_alert(server: AlertmanagerServer, sink: Sink) -> float:
    """Fire one alert, another of the same name a second after the first was delivered, and time the second's way."""
    server.post_alerts([alert(FIRST)])
    delivered = wait_until(lambda: sink.first("/webhook", "FailureRateHigh"), 15, "the first alert is delivered")
    wait_until(lambda: time.monotonic() >= delivered.at + APART_S, 5, "a second has gone by")
    sent_at = time.monotonic()
    server.post_alerts([alert(SECOND)])
    return wait_until(lambda: sink.first("/webhook", "gateway-2"), 30, "the second alert is delivered").at - sent_at


@pytest.mark.timed
def test_a_second_alert_reaches_the_webhook_within_a_second(generation: Generation, tmp_path: Path) -> None:
    """group_by ['...'] makes each alert a group of its own, so none waits for another's group_interval."""
    with running_sink() as sink:
        config = write_config(tmp_path, specs()["failure-budget"], webhook_url=f"{sink.url}/webhook")
        with alertmanager_server(generation, tmp_path, config) as server:
            assert seconds_until_second_alert(server, sink) < 1.0


def test_without_the_group_by_it_waits_for_the_group_interval(generation: Generation, tmp_path: Path) -> None:
    """The same route grouped by alert name: the second alert joins the first one's group and waits."""

    def group_by_name(config: dict[str, Any]) -> None:
        with_shorter_interval(config)
        config["route"]["routes"][1]["group_by"] = ["alertname"]

    with running_sink() as sink:
        config = write_config(
            tmp_path, specs()["failure-budget"], webhook_url=f"{sink.url}/webhook", change=group_by_name
        )
        with alertmanager_server(generation, tmp_path, config) as server:
            assert seconds_until_second_alert(server, sink) > 2.0


def test_the_webhook_is_authorised_and_told_of_the_end(generation: Generation, tmp_path: Path) -> None:
    """The token is read from its file, and a resolve is sent as a resolve."""
    with running_sink() as sink:
        config = write_config(
            tmp_path, specs()["failure-budget"], webhook_url=f"{sink.url}/webhook", change=with_shorter_interval
        )
        with alertmanager_server(generation, tmp_path, config) as server:
            server.post_alerts([alert(FIRST)])
            firing = wait_until(lambda: sink.first("/webhook", '"firing"'), 15, "the alert is delivered")
            server.post_alerts([alert(FIRST, resolved=True)])
            resolved = wait_until(lambda: sink.first("/webhook", '"resolved"'), 30, "the resolve is delivered")
    assert firing.headers["Authorization"] == "Bearer a-token"
    assert resolved.alert_names() == ["FailureRateHigh"]
