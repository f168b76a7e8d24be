"""One trace shows a request, the alert, the freeze and the rollback: real processes, and a stand-in of a collector."""

import contextlib
import json
import subprocess
import sys
import urllib.error
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from receiver import traceparent
from tests.acceptance.receiver.harness import Receiver, Site, body, receiver
from tests.fakes.otlp import Collector, running_collector
from tests.tools import ROOT, Generation, alertmanager_server, request
from tests.waiting import until
from tests.workload import service

pytestmark = pytest.mark.acceptance

SENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
ROUTES = """\
route: {{receiver: freezeline, group_by: ['...'], group_wait: 0s, group_interval: 1s}}
receivers:
  - name: freezeline
    webhook_configs: [{{url: {url}/webhook, http_config: {{authorization: {{credentials_file: {token}}}}}}}]
"""


def failed_request(url: str) -> dict[str, str]:
    """Requests of one trace until one fails; the headers of its answer."""
    for _ in range(10):
        wanted = urllib.request.Request(
            f"{url}/api/v1/scripts", data=b'{"topic": "ice"}', headers={"traceparent": SENT}
        )
        try:
            urllib.request.urlopen(wanted, timeout=20).close()
        except urllib.error.HTTPError as error:
            with error:
                return {name.lower(): value for name, value in error.headers.items()}
    raise AssertionError("no request failed")


def fire(alertmanager: str, parent: str) -> None:
    """The alert, with the failed request's trace as an annotation."""
    alert = {
        "labels": {"alertname": "FailureRateHigh", "service": "gateway", "severity": "critical"},
        "annotations": {"summary": "failure rate 10 % > 1 %", "traceparent": parent},
        "startsAt": datetime.now(UTC).isoformat(),
    }
    request("POST", f"{alertmanager}/api/v2/alerts", json.dumps([alert]).encode())


async def test_one_trace_from_the_request_to_the_rollback(generation: Generation, tmp_path: Path) -> None:
    """The service takes the sender's trace, the alert names it, and the receiver's actions join it."""
    if generation.label == "old":
        pytest.skip("nothing here depends on the generation")
    async with running_collector() as collector:
        site = Site(root=tmp_path)
        site.settings |= {"otlp": {"endpoint": collector.url}}
        site.write()
        with contextlib.ExitStack() as stack:
            asked = {"scripts_fault": "errors", "otel_exporter_otlp_endpoint": collector.url}
            providers = stack.enter_context(service(tmp_path, "providers", "providers"))
            scripts = stack.enter_context(
                service(tmp_path, "scripts", "scripts", ["--providers", providers.url], **asked)
            )
            async with receiver(site) as running:
                config = ROUTES.format(url=running.url, token=site.state / "tokens" / "webhook")
                alertmanager = stack.enter_context(alertmanager_server(generation, tmp_path / "alertmanager", config))
                answer = failed_request(scripts.url)
                fire(alertmanager.url, answer["traceparent"])
                await until(lambda: site.lines("rollbacks") == ["v2"], 30, "the rollback")
                names = {"POST /api/v1/scripts", "alert FailureRateHigh", "freeze", "rollback"}
                await until(lambda: names <= collector.of(TRACE).keys(), 30, "the spans")
                logged = [json.loads(line) for line in running.log.read_text().splitlines() if line.startswith("{")]
    found = collector.of(TRACE)
    assert answer["x-trace-id"] == TRACE
    assert found["POST /api/v1/scripts"].service == "script-generation"
    alert = found["alert FailureRateHigh"]
    assert (alert.service, found["freeze"].parent_id, found["rollback"].parent_id) == (
        "freezeline-receiver",
        alert.span_id,
        alert.span_id,
    )
    assert alert.ended <= found["freeze"].ended <= found["rollback"].ended
    assert found["rollback"].attributes["freezeline.release"] == "v2"
    notices = [one for one in logged if one["message"] == "notice" and one["notice"]["event"] == "frozen"]
    assert [one["notice"]["trace_id"] for one in notices] == [TRACE]


async def sent(running: Receiver, collector: Collector) -> set[str]:
    """The traces of the rollbacks that the collector has."""
    assert await running.post(body("0.34.2", "firing"), traceparent=SENT) == 200
    await until(lambda: running.site.lines("rollbacks") == ["v2"], 30, "the rollback")
    await until(lambda: any(span.name == "rollback" for span in collector.spans), 30, "the span")
    return {span.trace_id for span in collector.spans}


async def test_a_webhooks_trace_is_taken(tmp_path: Path) -> None:
    """Without an annotation, the sender's header counts; every answer carries a valid header."""
    async with running_collector() as collector:
        site = Site(root=tmp_path)
        site.settings |= {"otlp": {"endpoint": collector.url}}
        site.write()
        async with receiver(site) as running:
            assert await sent(running, collector) == {TRACE}
            async with running.http.get(f"{running.url}/health") as response:
                assert traceparent.parse(response.headers["traceparent"]) is not None


async def test_a_collector_that_refuses_costs_no_action(tmp_path: Path) -> None:
    """The receiver freezes, rolls back, and ends in time, although no span gets through."""
    async with running_collector() as collector:
        collector.refuses = True
        site = Site(root=tmp_path)
        site.settings |= {"otlp": {"endpoint": collector.url}}
        site.write()
        async with receiver(site) as running:
            assert await running.post(body("0.34.2", "firing")) == 200
            await until(lambda: site.lines("rollbacks") == ["v2"], 30, "the rollback")
            assert await running.stop() == 0
    assert collector.spans == []


@pytest.mark.parametrize(
    "code,absent",
    [
        ("import receiver.serve, freezeline.commands.serve", "opentelemetry"),
        # A library of the workload may import the SDK for itself.
        ("from examples.workload.tracing import Tracing; Tracing('x')", "examples.workload.spans"),
    ],
)
def test_the_sdk_is_not_imported_unless_configured(code: str, absent: str) -> None:
    """Without a collector, neither the receiver nor a service of the workload loads OpenTelemetry's SDK."""
    asked = f"{code}; import sys; sys.exit(any(name.startswith({absent!r}) for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", asked], cwd=ROOT, check=False, timeout=60).returncode == 0
