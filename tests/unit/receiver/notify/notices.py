"""Notices for tests, the hostile one among them."""

from datetime import UTC, datetime

from receiver.decide.notice import Event, Notice

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
HOSTILE = (
    "/x; rm -rf / `id` $(id) ' \" \\ <script>alert(1)</script> {{7*7}} ../../etc/passwd \n2026 level=fake"
    " <!channel> <@U1> @here http://evil.example\r\nBcc: x@evil.example \x1b[31m\x1b]0;t\x07 \u202eabc\x00"
)


def notice(
    *,
    title: str = "gateway is frozen",
    text: str = "failure rate 2.31 % > 0.5 %",
    event: Event = Event.FROZEN,
    repeat: bool = False,
    key: str = "slack-payments/gateway/01HX/frozen",
    facts: dict[str, str] | None = None,
) -> Notice:
    """One notice about the service `gateway`."""
    return Notice(
        key=key,
        incident="gateway/01HX",
        channel="channel",
        service="gateway",
        severity="critical",
        event=event,
        title=title,
        text=text,
        url="http://127.0.0.1:9099/#episode-01HX",
        at=AT,
        trace_id="trace-1",
        request_id="request-1",
        repeat=repeat,
        facts=facts or {"alert": "FailureRateHigh", "unfreeze_when": "alert resolved for 5 min"},
    )


def hostile(*, event: Event = Event.FROZEN) -> Notice:
    """One notice whose every text is an attack."""
    return notice(title=HOSTILE, text=HOSTILE, event=event, facts={"alert": HOSTILE, HOSTILE: HOSTILE})
