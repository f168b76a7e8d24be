"""The battery which every notifier must pass."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from receiver.decide.notice import Event, NotifyFailure, PermanentFailure, RateLimited, TemporaryFailure
from receiver.notify import NOTIFIERS
from tests.fakes.faults import Answer, Hang, Reset
from tests.unit.receiver.notify.notices import hostile, notice
from tests.unit.receiver.notify.rigs import REMOTE, Rig, hasty, rig


@pytest.fixture(params=sorted(NOTIFIERS))
async def any_rig(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    """Each notifier in turn."""
    async with rig(request.param, tmp_path) as running:
        yield running


@pytest.fixture(params=REMOTE)
async def remote(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Rig]:
    """Each notifier that speaks to somebody else."""
    async with rig(request.param, tmp_path) as running:
        yield running


async def test_a_notice_arrives_once_and_gives_a_receipt(any_rig: Rig) -> None:
    """One send is one delivery, and the receipt names the channel."""
    receipt = await any_rig.notifier.send(notice())
    assert (receipt.channel, any_rig.attempts(), len(any_rig.heads())) == ("channel", 1, 1)
    assert "gateway is frozen" in any_rig.heads()[0]
    assert any("failure rate 2.31 % " in text for text in any_rig.texts())


async def test_every_moment_can_be_sent(any_rig: Rig) -> None:
    """No moment is refused by any channel. Apprise, a process for each, gets each kind of message once."""
    events = list(Event) if any_rig.kind != "apprise" else [Event.FROZEN, Event.ACKNOWLEDGED, Event.UNFROZEN]
    for event in events:
        await any_rig.notifier.send(notice(event=event))
    assert any_rig.attempts() == len(events)


async def test_a_repeat_is_marked(any_rig: Rig) -> None:
    """A notice that may have been sent before says so in its title."""
    await any_rig.notifier.send(notice(repeat=True))
    assert any_rig.heads()[0].startswith("(repeat) ")


async def test_hostile_text_has_no_control_characters(any_rig: Rig) -> None:
    """Escape sequences, line breaks, NUL and bidirectional overrides from labels reach no channel."""
    await any_rig.notifier.send(hostile())
    arrived = "".join(any_rig.texts())
    assert {char for char in "\x1b\x00\x07\r\u202e" if char in arrived} == set()
    assert "alert(1)" in arrived


async def test_hostile_text_is_no_template(any_rig: Rig) -> None:
    """Template syntax in a label is shown, not run."""
    await any_rig.notifier.send(hostile())
    assert "{{7*7}}" in "".join(any_rig.texts())


async def test_429_is_rate_limited(remote: Rig) -> None:
    """The server's wish for patience reaches the caller (SMTP has no 429; its like is 451)."""
    status = 451 if remote.kind == "email" else 429
    remote.fail(Answer(status=status, retry_after="37"))
    with pytest.raises(TemporaryFailure) as caught:
        await remote.notifier.send(notice())
    limited = isinstance(caught.value, RateLimited)
    assert (limited, caught.value.retry_after_s) == ((False, None) if remote.kind == "email" else (True, 37.0))


@pytest.mark.parametrize("status", [500, 502, 503, 504])
async def test_server_error_is_temporary(remote: Rig, status: int) -> None:
    """The other side's own failure is worth another try (SMTP: 4xx)."""
    remote.fail(Answer(status=421 if remote.kind == "email" else status))
    with pytest.raises(TemporaryFailure):
        await remote.notifier.send(notice())


@pytest.mark.parametrize("status", [302, 400, 403, 404, 410])
async def test_refusal_is_permanent(remote: Rig, status: int) -> None:
    """What is refused is not sent again, and redirects are not followed (SMTP: 5xx)."""
    remote.fail(Answer(status=554 if remote.kind == "email" else status, body="no_service"))
    with pytest.raises(PermanentFailure, match="no_service"):
        await remote.notifier.send(notice())
    assert remote.attempts() == 1


async def test_reset_is_temporary(remote: Rig) -> None:
    """A broken connection is worth another try."""
    remote.fail(Reset())
    with pytest.raises(TemporaryFailure):
        await remote.notifier.send(notice())


async def test_hang_ends_at_the_timeout(remote: Rig) -> None:
    """A silent server costs timeout_s, not for ever."""
    remote.fail(Hang())
    with pytest.raises(TemporaryFailure, match=r"no answer within 0\.5 s"):
        await hasty(remote.notifier).send(notice())


async def test_next_send_works_after_each_failure(remote: Rig) -> None:
    """A failure leaves nothing broken behind."""
    refusal = Answer(status=451 if remote.kind == "email" else 500)
    for fault, notifier in ((refusal, remote.notifier), (Reset(), remote.notifier), (Hang(), hasty(remote.notifier))):
        remote.fail(fault)
        with pytest.raises(TemporaryFailure):
            await notifier.send(notice())
    await remote.notifier.send(notice())
    assert len(remote.heads()) == 1


@pytest.mark.parametrize("where", ["answer", "reset", "hang", "bad file"])
async def test_secrets_stay_secret(remote: Rig, where: str, caplog: pytest.LogCaptureFixture) -> None:
    """No error, receipt or log holds the secret, even where the server echoes it."""
    caplog.set_level(logging.DEBUG)
    refused = 554 if remote.kind == "email" else 400
    match where:
        case "answer":
            remote.fail(Answer(status=refused, body=f"bad {remote.secret} bad"))
        case "reset":
            remote.fail(Reset())
        case "hang":
            remote.fail(Hang())
        case "bad file":
            remote.secret_file.write_text(f"http://[{remote.secret} x")
    with pytest.raises(NotifyFailure) as caught:
        await (hasty(remote.notifier) if where == "hang" else remote.notifier).send(notice())
    logged = [one.getMessage() for one in caplog.records if one.name != "mail.log"]  # the relay's own log
    shown = f"{caught.value!r} {caught.value.reason} {caught.value.__cause__!r} {logged}"
    assert remote.secret not in shown


async def test_missing_secret_is_permanent_and_names_the_file(remote: Rig) -> None:
    """The operator learns which file to mend."""
    remote.secret_file.unlink()
    with pytest.raises(PermanentFailure, match=str(remote.secret_file)):
        await remote.notifier.send(notice())
    assert remote.attempts() == 0


async def test_rotated_secret_is_used_without_restart(remote: Rig) -> None:
    """The file is read at each send."""
    good = remote.secret_file.read_text()
    remote.secret_file.write_text("http://127.0.0.1:9/services/none" if remote.kind == "slack" else "wrong-secret")
    with pytest.raises(NotifyFailure):
        await remote.notifier.send(notice())
    remote.secret_file.write_text(good)
    await remote.notifier.send(notice())
    assert len(remote.heads()) == 1
