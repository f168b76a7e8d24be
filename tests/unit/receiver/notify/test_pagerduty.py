"""PagerDuty: one incident there for one incident here."""

from pathlib import Path

import aiohttp
import pytest

from receiver.decide.notice import Event
from receiver.notify.pagerduty import dedup_key, event
from tests.fakes.http import ROUTING_KEY, PagerDutyFake, running
from tests.unit.receiver.notify.notices import hostile, notice
from tests.unit.receiver.notify.rigs import open_channel


@pytest.mark.parametrize(
    "events, states",
    [
        ([Event.FROZEN, Event.ROLLBACK_STARTED, Event.ROLLBACK_FAILED], ["triggered"]),
        ([Event.FROZEN, Event.ACKNOWLEDGED], ["acknowledged"]),
        ([Event.FROZEN, Event.ESCALATION, Event.UNFROZEN], ["resolved"]),
        ([Event.FROZEN, Event.RESOLVED], ["resolved"]),
    ],
)
async def test_events_share_one_incident(events: list[Event], states: list[str], tmp_path: Path) -> None:
    """Triggers join, an acknowledgement stops, the end resolves."""
    key = tmp_path / "key"
    key.write_text(ROUTING_KEY)
    fake = PagerDutyFake()
    async with aiohttp.ClientSession() as http, running(fake, "/v2/enqueue"):
        notifier = open_channel({"type": "pagerduty", "routing_key_file": str(key), "url": fake.url}, http)
        for event in events:
            await notifier.send(notice(event=event))
    assert list(fake.incidents.values()) == states


def test_the_event_names_service_severity_and_identifiers() -> None:
    """What the person who is called reads."""
    body = event(notice(), "gateway is frozen", routing_key="key")
    assert body == {
        "routing_key": "key",
        "event_action": "trigger",
        "dedup_key": dedup_key("gateway/01HX"),
        "client": "Freezeline",
        "client_url": "http://127.0.0.1:9099/#episode-01HX",
        "links": [{"href": "http://127.0.0.1:9099/#episode-01HX", "text": "Open in Freezeline"}],
        "payload": {
            "summary": "gateway is frozen",
            "source": "gateway",
            "severity": "critical",
            "timestamp": "2026-01-02T03:04:05+00:00",
            "component": "gateway",
            "class": "frozen",
            "custom_details": {
                "alert": "FailureRateHigh",
                "unfreeze_when": "alert resolved for 5 min",
                "event": "frozen",
                "text": "failure rate 2.31 % > 0.5 %",
                "trace_id": "trace-1",
                "request_id": "request-1",
                "repeat": "false",
            },
        },
    }


def test_hostile_event_is_short_and_printable() -> None:
    """PagerDuty's limits hold and no control character passes."""
    body = event(hostile(), "x" * 5000, routing_key="key")
    assert len(body["payload"]["summary"]) == 1024
    details = body["payload"]["custom_details"]
    assert {"alert", "text"} & set(details)
    assert all(text.isprintable() for pair in details.items() for text in pair)
