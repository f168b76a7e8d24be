"""What people read: messages of a real Alertmanager to stand-ins for Slack, PagerDuty and a mail relay."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest

from generator.model.spec import Spec
from tests.acceptance.alertmanager.firing import ANNOTATIONS, alert
from tests.acceptance.alertmanager.sink import Sink, running_sink
from tests.acceptance.alertmanager.systems import write_config
from tests.fakes.smtp import PASSWORD, SmtpFake, running_smtp
from tests.tools import AlertmanagerServer, Generation, alertmanager_server
from tests.unit.generator.spec.loading import good
from tests.waiting import until

pytestmark = pytest.mark.acceptance

HOSTILE = "<!channel> <https://evil.example|free> & <script>alert(1)</script> {{ .ExternalURL }}"
LABELS = {"alertname": "FailureRateHigh", "severity": "critical", "service": "gateway", "team": "payments"}


def spec(smtp_port: int) -> Spec:
    """One team that is told by all three media."""
    return good(f"""\
        routing:
          teams: {{payments: {{slack: "#payments", email: payments@example.org, pagerduty: payments}}}}
          routes: [{{match: {{severity: critical}}, to: [payments]}}]
          smtp: {{smarthost: "127.0.0.1:{smtp_port}", from: alerts@example.org, username: alerts}}
        """)


def to_stand_ins(sink: Sink) -> Any:
    """A change of the configuration: PagerDuty's address, plain SMTP, and one second for the group to gather."""

    def change(config: dict[str, Any]) -> None:
        for route in config["route"]["routes"][2:]:
            route["group_wait"] = "1s"
        for receiver in config["receivers"]:
            for pagerduty in receiver.get("pagerduty_configs", []):
                pagerduty["url"] = f"{sink.url}/pagerduty"
            for email in receiver.get("email_configs", []):
                email["require_tls"] = False

    return change


@asynccontextmanager
async def told(generation: Generation, directory: Path) -> AsyncIterator[tuple[AlertmanagerServer, Sink, SmtpFake]]:
    """An Alertmanager whose messages come to stand-ins."""
    # Alertmanager does not understand the words in which this relay's LOGIN asks for a name.
    async with running_smtp(SmtpFake(), without=["LOGIN"]) as relay:
        with running_sink() as sink:
            secrets = {
                "slack-payments": f"{sink.url}/slack",
                "pagerduty-payments": "0123456789abcdef0123456789abcdef",
                "smtp-password": PASSWORD,
            }
            config = write_config(
                directory,
                spec(relay.port),
                webhook_url=f"{sink.url}/webhook",
                secrets=secrets,
                change=to_stand_ins(sink),
            )
            with alertmanager_server(generation, directory, config) as server:
                yield server, sink, relay


async def test_everybody_is_told_with_links(generation: Generation, tmp_path: Path) -> None:
    """Slack, e-mail and PagerDuty say what happened, and lead to runbook and dashboard."""
    async with told(generation, tmp_path) as (server, sink, relay):
        server.post_alerts([alert(LABELS)])
        slack = (await until(lambda: sink.first("/slack", "FIRING"), 15, "Slack is told")).body
        page = (await until(lambda: sink.first("/pagerduty", "trigger"), 15, "PagerDuty is told")).body
        mail: EmailMessage = await until(lambda: relay.received[0] if relay.received else None, 15, "a mail comes")
        server.post_alerts([alert(LABELS, resolved=True)])
    title = "FIRING 1 · critical · gateway: FailureRateHigh"
    (message,) = slack["attachments"]
    assert slack["channel"] == "#payments"
    assert (message["title"], message["color"]) == (title, "danger")
    assert message["title_link"] == ANNOTATIONS["runbook_url"]
    assert f"<{ANNOTATIONS['runbook_url']}|Runbook>" in message["text"]
    assert f"<{ANNOTATIONS['dashboard_url']}|Dashboard>" in message["text"]
    assert "*failure rate 2.31 % &gt; 0.5 %*" in message["text"]
    assert page["payload"]["summary"] == title
    assert page["payload"]["severity"] == "critical"
    assert mail["Subject"] == title
    assert mail["To"] == "payments@example.org"
    assert relay.logins == ["alerts"]
    for kind in ("plain", "html"):
        part = mail.get_body((kind,))
        assert part is not None
        assert ANNOTATIONS["runbook_url"] in part.get_content()


async def test_hostile_texts_stay_texts(generation: Generation, tmp_path: Path) -> None:
    """A label or a summary becomes neither a mention, nor a link, nor a script, nor a template."""
    labels = {**LABELS, "slo": HOSTILE}
    async with told(generation, tmp_path) as (server, sink, relay):
        server.post_alerts([alert(labels, annotations={"summary": HOSTILE, "description": HOSTILE})])
        slack = (await until(lambda: sink.first("/slack", "FIRING"), 15, "Slack is told")).body
        mail: EmailMessage = await until(lambda: relay.received[0] if relay.received else None, 15, "a mail comes")
    (message,) = slack["attachments"]
    for text in (message["title"], message["text"]):
        assert "&lt;!channel&gt; &lt;https://evil.example|free&gt; &amp; " in text
        assert "<!" not in text
        assert "{{ .ExternalURL }}" in text
    html = mail.get_body(("html",))
    assert html is not None
    assert "<script" not in html.get_content()
    assert "&lt;script&gt;" in html.get_content()
