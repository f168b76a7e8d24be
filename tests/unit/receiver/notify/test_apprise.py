"""Apprise: what each service gets, why a message was not sent, and that nothing in a text is alive there."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from msgspec import Struct
from msgspec.structs import replace

from receiver.decide.notice import Event, Notifier, PermanentFailure, RateLimited, TemporaryFailure
from receiver.notify import parse_channels
from receiver.notify.apprise import PROGRAM, AppriseNotifier, kind_of
from receiver.templates.escape import inert
from tests.fakes.faults import Answer, Fault, Hang
from tests.fakes.http import HttpFake, running
from tests.unit.receiver.notify.notices import HOSTILE, hostile, notice
from tests.unit.receiver.notify.rigs import HASTY_S, hasty, open_channel

DISCORD = ("123456789012345678", "FAKEdiscordFAKEtoken")
TEAMS = ("FAKEworkflowFAKE", "FAKEsignatureFAKE")

# Discord and Teams have fixed addresses, or none without TLS: the same program, led to the stand-in.
LED = """
import runpy, sys
import requests
FAKE = {fake!r}
prepare = requests.Session.prepare_request
def led(session, request):
    request.url = FAKE + "/" + request.url.partition("://")[2].partition("/")[2]
    return prepare(session, request)
requests.Session.prepare_request = led
runpy.run_path({program!r}, run_name="__main__")
"""


class Service(Struct, kw_only=True):
    """A notifier with the stand-in of a service."""

    fake: HttpFake
    notifier: Notifier
    secret: str

    def said(self) -> str:
        """Everything that arrived. For Teams, Apprise writes a backslash before each mark of Markdown."""
        return str(self.fake.received).replace("\\", "")


@pytest.fixture(params=["discord", "teams"])
async def service(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Service]:
    """Discord and Microsoft Teams in turn; the battery of all notifiers has ntfy."""
    urls = {
        "discord": (f"discord://{DISCORD[0]}/{DISCORD[1]}", DISCORD[1]),
        "teams": (f"workflows://prod-1.westeurope.logic.azure.com:443/{TEAMS[0]}/{TEAMS[1]}", TEAMS[1]),
    }
    url, secret = urls[request.param]
    (tmp_path / "url").write_text(url)
    fake = HttpFake()
    async with aiohttp.ClientSession() as http, running(fake, "/{path:.*}"):
        (tmp_path / "led.py").write_text(LED.format(fake=fake.url.partition("/{")[0], program=str(PROGRAM)))
        made = open_channel({"type": "apprise", "url_file": str(tmp_path / "url")}, http)
        assert isinstance(made, AppriseNotifier)
        yield Service(fake=fake, notifier=replace(made, program=tmp_path / "led.py"), secret=secret)


async def test_the_message_arrives_once(service: Service) -> None:
    """Title, text and the link to our own page."""
    receipt = await service.notifier.send(notice())
    assert (receipt.answer, len(service.fake.received)) == ("200", 1)
    for wanted in ("gateway is frozen", "failure rate 2.31 % > 0.5 %", "FailureRateHigh", "http://127.0.0.1:9099/"):
        assert wanted in service.said()


@pytest.mark.parametrize("service", ["discord"], indirect=True)
@pytest.mark.parametrize(
    "fault, failure, said",
    [
        (Answer(status=429, retry_after="37"), RateLimited, "429"),
        (Answer(status=503), TemporaryFailure, "503"),
        (Answer(status=404, body="Unknown Webhook"), PermanentFailure, "404 Unknown Webhook"),
        (Answer(status=302), PermanentFailure, "302"),
        (Hang(), TemporaryFailure, f"no answer within {HASTY_S:g} s"),
    ],
)
async def test_the_cause_of_a_failure_is_known(
    service: Service, fault: Fault, failure: type[Exception], said: str
) -> None:
    """Apprise says only that a message was not sent."""
    service.fake.faults.extend([fault] * 5)  # a plugin may ask again by itself
    with pytest.raises(failure, match=said) as caught:
        await (hasty(service.notifier) if isinstance(fault, Hang) else service.notifier).send(notice())
    assert (type(caught.value), service.secret in str(caught.value)) == (failure, False)


async def test_hostile_text_is_inert(service: Service) -> None:
    """No mention, no tag, no link."""
    await service.notifier.send(replace(hostile(), url=""))
    said = service.said()
    assert "alert(1)" in said
    assert [bad for bad in ("<script", "<!channel", "<@U1", "@here", "http://evil", "x1b") if bad in said] == []


@pytest.mark.parametrize("text", [HOSTILE, "[x](javascript:alert(1))", "WWW.evil.example", "@everyone <b>"])
def test_nothing_begins_a_tag_a_mention_or_a_link(text: str) -> None:
    """The escape of every value."""
    assert re.search(r"<[a-z/!?@#]|@\w|\]\(|://|www\.\w", inert(text), re.IGNORECASE) is None


@pytest.mark.parametrize(
    "url, said",
    [
        ("nosuchservice://x", "Apprise knows no such URL"),
        ("json://192.0.2.1/hook", "plain HTTP is allowed only to this machine"),
    ],
)
async def test_a_url_that_cannot_work_is_refused_at_once(url: str, said: str, tmp_path: Path) -> None:
    """The reason names the file, and not the URL."""
    (tmp_path / "url").write_text(url)
    async with aiohttp.ClientSession() as http:
        notifier = open_channel({"type": "apprise", "url_file": str(tmp_path / "url")}, http)
        with pytest.raises(PermanentFailure, match=said) as caught:
            await notifier.send(notice())
    assert (str(tmp_path / "url") in str(caught.value), url in str(caught.value)) == (True, False)


@pytest.mark.parametrize(
    "event, severity, kind",
    [
        (Event.FROZEN, "critical", "failure"),
        (Event.FROZEN, "warning", "warning"),
        (Event.STATUS, "info", "info"),
        (Event.UNFROZEN, "critical", "success"),
        (Event.ROLLBACK_DONE, "critical", "success"),
        (Event.ACKNOWLEDGED, "critical", "info"),
        (Event.ROLLBACK_FAILED, "odd", "warning"),
    ],
)
def test_the_colour_follows_event_and_severity(event: Event, severity: str, kind: str) -> None:
    """Green where nobody needs to act any more."""
    assert kind_of(replace(notice(event=event), severity=severity)) == kind


def test_without_the_library_the_settings_say_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra is optional."""
    found: Any = None
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: found)
    (problem,) = parse_channels({"teams": {"type": "apprise", "url_file": "/x"}}).problems
    assert (problem.message, ".[apprise]" in problem.hint) == (
        "type apprise needs the library Apprise, which is not installed",
        True,
    )
