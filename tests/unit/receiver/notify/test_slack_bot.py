"""Slack's bot: one message per incident that shows the newest state, and a thread below the message."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import aiohttp
import pytest
from msgspec import Struct
from msgspec.structs import replace

from receiver.decide.notice import Event, Notice, Notifier, PermanentFailure, RateLimited, TemporaryFailure
from tests.fakes.faults import Answer, Hang
from tests.fakes.http import SLACK_API_PATH, SLACK_CHANNEL, SLACK_TOKEN, SlackApiFake, running
from tests.unit.receiver.notify.notices import AT, hostile, notice
from tests.unit.receiver.notify.rigs import hasty, open_channel

HASTY_S = 2.0
"""Seconds after which the hasty bot gives up: enough for the update that goes well, also on a busy machine."""


class Bot(Struct, kw_only=True):
    """A bot, Slack's stand-in, and what the journal would remember."""

    slack: SlackApiFake
    notifier: Notifier
    threads: dict[str, str]

    async def send(self, told: Notice, *, by: Notifier | None = None) -> None:
        """Deliver a notice, and remember the thread as the receiver does."""
        receipt = await (by or self.notifier).send(told)
        self.threads[told.incident] = receipt.thread

    def heads(self) -> list[str]:
        """Titles of the messages in the channel, as they read now."""
        return [body["blocks"][0]["text"]["text"] for body in self.slack.roots().values()]

    def replies(self) -> list[str]:
        """Titles of the messages in threads."""
        return [body["blocks"][0]["text"]["text"] for body in self.slack.replies()]


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[Bot]:
    """A bot in a channel that is named, not numbered."""
    token = tmp_path / "token"
    token.write_text(SLACK_TOKEN)
    slack, threads = SlackApiFake(), dict[str, str]()
    async with aiohttp.ClientSession() as http, running(slack, SLACK_API_PATH):
        settings = {
            "type": "slack-bot",
            "token_file": str(token),
            "channel": "#payments",
            "api": slack.url.rpartition("/")[0],
        }
        yield Bot(slack=slack, notifier=open_channel(settings, http, threads=threads), threads=threads)


def later(title: str, event: Event, minutes: int) -> Notice:
    """A later notice of the same incident."""
    return replace(notice(title=title, event=event, key=f"k/{title}"), at=AT + timedelta(minutes=minutes))


async def test_an_incident_is_one_message_with_a_thread(bot: Bot) -> None:
    """The message shows the newest state; every later event stands in the thread."""
    await bot.send(notice())
    await bot.send(later("gateway: rollback done", Event.ROLLBACK_DONE, 1))
    await bot.send(later("gateway is unfrozen", Event.UNFROZEN, 9))
    assert bot.heads() == ["gateway is unfrozen"]
    assert bot.replies() == ["gateway: rollback done", "gateway is unfrozen"]
    assert {body["thread_ts"] for body in bot.slack.replies()} == set(bot.slack.roots())


async def test_another_incident_is_another_message(bot: Bot) -> None:
    """A thread belongs to one incident."""
    await bot.send(notice())
    await bot.send(replace(notice(), incident="gateway/02HX"))
    assert (bot.heads(), bot.replies()) == (["gateway is frozen"] * 2, [])


async def test_a_late_notice_does_not_overwrite_a_newer_state(bot: Bot) -> None:
    """A retry of `frozen` after `unfrozen` goes into the thread alone."""
    await bot.send(notice())
    await bot.send(later("gateway is unfrozen", Event.UNFROZEN, 9))
    await bot.send(later("gateway: rollback done", Event.ROLLBACK_DONE, 1))
    await bot.send(later("gateway: still open", Event.STATUS, 2))
    assert bot.heads() == ["gateway is unfrozen"]
    assert bot.replies() == ["gateway is unfrozen", "gateway: rollback done", "gateway: still open"]


async def test_urgent_events_are_seen_in_the_channel(bot: Bot) -> None:
    """Others stay in the thread."""
    await bot.send(notice())
    await bot.send(later("gateway: ROLLBACK FAILED", Event.ROLLBACK_FAILED, 1))
    await bot.send(later("gateway: acknowledged", Event.ACKNOWLEDGED, 2))
    assert [body["reply_broadcast"] for body in bot.slack.replies()] == [True, False]


async def test_buttons_open_the_page_and_nothing_else(bot: Bot) -> None:
    """Only the message has buttons, and each leads to the receiver."""
    told = replace(notice(), url="http://h/page/incident?id=1", service_url="http://h/page/service?name=gateway")
    await bot.send(told)
    await bot.send(replace(told, at=AT + timedelta(minutes=1)))
    (root,), (reply,) = bot.slack.roots().values(), bot.slack.replies()
    links = [(one["text"]["text"], one["url"]) for one in root["blocks"][-1]["elements"]]
    assert links == [("Open incident", told.url), ("Open service", told.service_url)]
    assert [block["type"] for block in reply["blocks"]] == ["header", "section"]


async def test_a_deleted_message_is_posted_anew(bot: Bot) -> None:
    """Somebody tidied the channel while the incident is open."""
    await bot.send(notice())
    bot.slack.messages.clear()
    await bot.send(later("gateway is unfrozen", Event.UNFROZEN, 9))
    assert (bot.heads(), bot.replies()) == (["gateway is unfrozen"], [])


async def test_the_thread_goes_on_where_messages_cannot_be_edited(bot: Bot) -> None:
    """A workspace may forbid edits."""
    await bot.send(notice())
    bot.slack.errors.append("edit_window_closed")
    await bot.send(later("gateway is unfrozen", Event.UNFROZEN, 9))
    assert (bot.heads(), bot.replies()) == (["gateway is frozen"], ["gateway is unfrozen"])


@pytest.mark.parametrize("fault", [Answer(status=500), Hang()])
async def test_a_failure_between_update_and_reply_gives_one_reply(bot: Bot, fault: Answer | Hang) -> None:
    """The attempt is repeated whole; the update changes nothing a second time."""
    await bot.send(notice())
    bot.slack.faults.extend([Answer(status=200, body='{"ok": true}'), fault])
    told = later("gateway is unfrozen", Event.UNFROZEN, 9)
    with pytest.raises(TemporaryFailure):
        await bot.send(told, by=hasty(bot.notifier, HASTY_S) if isinstance(fault, Hang) else bot.notifier)
    await bot.send(told)
    assert (bot.heads(), bot.replies()) == (["gateway is unfrozen"], ["gateway is unfrozen"])


@pytest.mark.parametrize(
    "error, failure",
    [
        ("ratelimited", RateLimited),
        ("internal_error", TemporaryFailure),
        ("not_in_channel", PermanentFailure),
        ("<b>odd</b>", PermanentFailure),
    ],
)
async def test_slack_says_no_with_status_200(bot: Bot, error: str, failure: type[Exception]) -> None:
    """The word decides, and only a word of Slack's own is shown."""
    bot.slack.errors.append(error)
    with pytest.raises(failure) as caught:
        await bot.send(notice())
    assert type(caught.value) is failure
    assert ("<b>" in str(caught.value), str(caught.value).startswith("Slack refuses the message: ")) == (False, True)


@pytest.mark.parametrize("body", ["ok", "[]", '{"ok": true}'])
async def test_an_answer_that_says_nothing_is_temporary(bot: Bot, body: str) -> None:
    """A proxy may answer instead of Slack."""
    bot.slack.faults.append(Answer(status=200, body=body))
    with pytest.raises(TemporaryFailure):
        await bot.send(notice())


async def test_hostile_text_mentions_nobody(bot: Bot) -> None:
    """In the message and in the reply."""
    await bot.send(hostile())
    await bot.send(replace(hostile(), at=AT + timedelta(minutes=1)))
    said = str([*bot.slack.roots().values(), *bot.slack.replies()])
    assert [bad for bad in ("<!channel>", "<@U1>", "@here", "http://evil", "\x1b") if bad in said] == []
    assert {body["channel"] for body in bot.slack.replies()} == {SLACK_CHANNEL}
