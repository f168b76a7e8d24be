"""The PagerDuty channel: Events API v2. The dedup_key joins all notices of one incident in one PagerDuty incident."""

import hashlib
from typing import Any, Self

from msgspec import Struct

from receiver.decide.notice import CLOSING_EVENTS, Event, Notice, Notifier, Receipt
from receiver.notify.channel import Channel, Fields, Tools, unsafe_url
from receiver.notify.post import post_json
from receiver.notify.secret import SecretFile
from receiver.plaintext import plain

ENQUEUE_URL = "https://events.pagerduty.com/v2/enqueue"
SUMMARY_MAX = 1024
FACT_MAX = 1024
SEVERITIES = {"critical": "critical", "warning": "warning", "info": "info"}


class PagerDutyChannel(Channel, frozen=True, kw_only=True):
    """`routing_key_file` holds the integration key. `url` is for the EU region and for tests."""

    routing_key: SecretFile
    url: str

    @classmethod
    def parse(cls, fields: Fields) -> Self:
        """Read `routing_key_file`, `url` and `timeout_s`."""
        url = fields.text("url", example=ENQUEUE_URL, default=ENQUEUE_URL)
        unsafe = unsafe_url(url) if url else None
        if unsafe is not None:
            fields.note("url", f"url {unsafe}", f"write `url: {ENQUEUE_URL}`")
        return cls(
            name=fields.name,
            timeout_s=fields.timeout(),
            url=url,
            routing_key=fields.secret("routing_key_file", example="/etc/freezeline/pagerduty-key"),
        )

    def notifier(self, tools: Tools) -> Notifier:
        """Give the notifier."""
        return PagerDutyNotifier(self, tools)


class PagerDutyNotifier(Struct, frozen=True):
    """Enqueues one event per notice."""

    channel: PagerDutyChannel
    tools: Tools

    async def send(self, notice: Notice) -> Receipt:
        """Enqueue the event."""
        key = self.channel.routing_key.read()
        answer = await post_json(
            self.tools.http,
            self.channel.url,
            event(notice, self.tools.templates.render("pagerduty", notice), routing_key=key),
            timeout_s=self.channel.timeout_s,
            secrets=(key,),
            now=self.tools.now,
        )
        return Receipt(channel=self.channel.name, answer=answer)


def dedup_key(incident: str) -> str:
    """PagerDuty's name for the incident, at most 255 characters."""
    return f"freezeline-{hashlib.sha256(incident.encode()).hexdigest()[:40]}"


def action(event: Event) -> str:
    """The event's action. Further triggers with the same dedup_key join the open incident."""
    if event in CLOSING_EVENTS:
        return "resolve"
    return "acknowledge" if event is Event.ACKNOWLEDGED else "trigger"


def event(notice: Notice, summary: str, *, routing_key: str) -> dict[str, Any]:
    """Events v2 payload."""
    details = {plain(name, 64): plain(value, FACT_MAX) for name, value in sorted(notice.facts.items())}
    details |= {
        "event": notice.event.value,
        "text": plain(notice.text, FACT_MAX),
        "trace_id": plain(notice.trace_id, 64),
        "request_id": plain(notice.request_id, 64),
        "repeat": str(notice.repeat).lower(),
    }
    head = f"(repeat) {summary}" if notice.repeat else summary
    body: dict[str, Any] = {
        "routing_key": routing_key,
        "event_action": action(notice.event),
        "dedup_key": dedup_key(notice.incident),
        "client": "Freezeline",
        "payload": {
            "summary": plain(head, SUMMARY_MAX),
            "source": plain(notice.service, 255) or "freezeline",
            "severity": SEVERITIES.get(notice.severity, "error"),
            "timestamp": notice.at.isoformat(),
            "component": plain(notice.service, 255),
            "class": notice.event.value,
            "custom_details": details,
        },
    }
    if notice.url:
        body |= {"client_url": notice.url, "links": [{"href": notice.url, "text": "Open in Freezeline"}]}
    return body
