"""E-mail: the message, header injection, refused mailboxes, encryption that is insisted on."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from receiver.decide.notice import PermanentFailure, TemporaryFailure
from tests.fakes.faults import Answer
from tests.fakes.smtp import PASSWORD, SmtpFake, running_smtp
from tests.unit.receiver.notify.notices import hostile, notice
from tests.unit.receiver.notify.rigs import open_channel


@pytest.fixture
async def relay() -> AsyncIterator[SmtpFake]:
    """A running relay."""
    async with running_smtp(SmtpFake()) as fake:
        yield fake


def settings(relay: SmtpFake, **more: Any) -> dict[str, Any]:
    """Settings for that relay."""
    return {"type": "email", "to": "oncall@example.org", "smtp": f"smtp://127.0.0.1:{relay.port}", **more}


async def test_the_message_is_plain_and_complete(relay: SmtpFake) -> None:
    """Subject, identifiers, facts and link."""
    async with aiohttp.ClientSession() as http:
        await open_channel(settings(relay), http).send(notice())
    mail = relay.received[0]
    assert mail["Subject"] == "[critical] gateway is frozen"
    assert (mail["From"], mail["To"], mail["Auto-Submitted"]) == (
        "freezeline@example.org",
        "oncall@example.org",
        "auto-generated",
    )
    assert (mail["X-Freezeline-Trace-ID"], mail.get_content_type()) == ("trace-1", "text/plain")
    assert mail.get_content().replace("\r\n", "\n") == (
        "failure rate 2.31 % > 0.5 %\n\n"
        "Service:  gateway\n"
        "Severity: critical\n"
        "At:       2026-01-02 03:04:05 UTC\n"
        "Open:     http://127.0.0.1:9099/#episode-01HX\n\n"
        "alert: FailureRateHigh\n"
        "unfreeze_when: alert resolved for 5 min\n\n"
        "Trace trace-1, request request-1\n"
    )


async def test_a_repeat_has_the_same_message_id(relay: SmtpFake) -> None:
    """Most mailboxes fold the two into one; another notice has another."""
    async with aiohttp.ClientSession() as http:
        notifier = open_channel(settings(relay), http)
        for one in (notice(), notice(repeat=True), notice(key="another")):
            await notifier.send(one)
    ids = [mail["Message-ID"] for mail in relay.received]
    assert (ids[0] == ids[1], ids[0] == ids[2]) == (True, False)


async def test_hostile_text_makes_no_header(relay: SmtpFake) -> None:
    """A line break in a label adds neither header nor recipient."""
    async with aiohttp.ClientSession() as http:
        await open_channel(settings(relay), http).send(hostile())
    mail = relay.received[0]
    assert (mail["Bcc"], mail["To"], len(mail.get_all("Subject", []))) == (None, "oncall@example.org", 1)
    assert mail["Subject"].isprintable()


async def test_several_mailboxes_get_one_message(relay: SmtpFake) -> None:
    """`to` may be a list; a mailbox that is refused does not repeat the mail for the others."""
    relay.refuse = {"gone@example.org"}
    async with aiohttp.ClientSession() as http:
        to = ["oncall@example.org", "gone@example.org"]
        receipt = await open_channel(settings(relay, to=to), http).send(notice())
    assert len(relay.received) == 1
    assert receipt.answer == "queued; gone@example.org refused: 550 no such mailbox"


async def test_all_mailboxes_refused_is_permanent(relay: SmtpFake) -> None:
    """Nobody has it: the fallback channel takes over."""
    relay.refuse = {"oncall@example.org"}
    async with aiohttp.ClientSession() as http:
        with pytest.raises(PermanentFailure, match="550 no such mailbox"):
            await open_channel(settings(relay), http).send(notice())


async def test_a_wrong_password_is_permanent(relay: SmtpFake, tmp_path: Path) -> None:
    """Trying it again would lock the account; the password is in no message."""
    secret = tmp_path / "password"
    secret.write_text("wrong-password")
    async with aiohttp.ClientSession() as http:
        with pytest.raises(PermanentFailure, match="535") as caught:
            await open_channel(settings(relay, password_file=str(secret)), http).send(notice())
    assert "wrong-password" not in caught.value.reason


async def test_the_user_logs_in(relay: SmtpFake, tmp_path: Path) -> None:
    """The URL's user, or the sender's address."""
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    async with aiohttp.ClientSession() as http:
        for url in (f"smtp://robot@127.0.0.1:{relay.port}", f"smtp://127.0.0.1:{relay.port}"):
            await open_channel(settings(relay, smtp=url, password_file=str(secret)), http).send(notice())
    assert relay.logins == ["robot", "freezeline@example.org"]


async def test_a_relay_without_starttls_gets_nothing(relay: SmtpFake) -> None:
    """Where encryption is required, its absence is a refusal, not a fallback to plain text."""
    async with aiohttp.ClientSession() as http:
        with pytest.raises(PermanentFailure, match="STARTTLS"):
            await open_channel(settings(relay, tls="required"), http).send(notice())
    assert relay.received == []


async def test_greylisting_is_temporary(relay: SmtpFake) -> None:
    """4xx of the relay is tried again."""
    relay.faults.append(Answer(status=450, body="greylisted"))
    async with aiohttp.ClientSession() as http:
        with pytest.raises(TemporaryFailure, match="450 greylisted"):
            await open_channel(settings(relay), http).send(notice())


async def test_an_unreachable_relay_is_temporary() -> None:
    """Nobody listens."""
    fake = SmtpFake()
    async with running_smtp(fake):
        port = fake.port
    raw = {"type": "email", "to": "a@example.org", "smtp": f"smtp://127.0.0.1:{port}"}
    async with aiohttp.ClientSession() as http:
        with pytest.raises(TemporaryFailure):
            await open_channel(raw, http).send(notice())
