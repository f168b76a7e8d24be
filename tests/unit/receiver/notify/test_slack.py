"""Slack: the message, and what hostile text becomes in it."""

from pathlib import Path

import aiohttp
import pytest

from receiver.decide.notice import PermanentFailure
from receiver.notify.slack import message
from receiver.templates import Templates
from tests.fakes.http import SLACK_PATH, SlackFake, running
from tests.unit.receiver.notify.notices import hostile, notice
from tests.unit.receiver.notify.rigs import open_channel


def test_the_message_has_head_text_and_link() -> None:
    """Title as a plain header, text with facts, our own link."""
    body = message(notice(), Templates.load().render("slack", notice()))
    assert body["text"] == "gateway is frozen"
    assert body["blocks"][0]["text"] == {"type": "plain_text", "text": "gateway is frozen", "emoji": False}
    assert body["blocks"][1]["text"]["text"] == (
        "failure rate 2.31 % &gt; 0.5 %\n"
        "*Service* gateway · *Severity* critical · 2026-01-02 03:04:05 UTC\n"
        "*Alert* FailureRateHigh\n"
        "*Unfrozen when* alert resolved for 5 min\n"
        "_trace trace-1_\n"
        "<http://127.0.0.1:9099/#episode-01HX|Open>"
    )


def test_hostile_text_neither_mentions_nor_links() -> None:
    """The only link is ours; nobody is called."""
    body = message(hostile(), Templates.load().render("slack", hostile()))
    texts = [body["text"], body["blocks"][1]["text"]["text"]]
    assert [text.count("<") for text in texts] == [0, 1]
    assert [word for text in texts for word in ("@here", "http://evil", "<!") if word in text] == []
    assert (body["parse"], body["link_names"], body["unfurl_links"]) == ("none", False, False)
    assert body["blocks"][1]["text"]["verbatim"] is True


@pytest.mark.parametrize(
    "url", ["http://slack.example.org/x", "ftp://127.0.0.1/x", "file:///etc/passwd", "nonsense", "https://x:y/"]
)
async def test_an_unsafe_webhook_url_is_never_spoken_to(url: str, tmp_path: Path) -> None:
    """Plain HTTP beyond loopback, other schemes and no URLs are refused."""
    secret = tmp_path / "url"
    secret.write_text(url)
    async with aiohttp.ClientSession() as http:
        with pytest.raises(PermanentFailure, match="the channel's URL"):
            await open_channel({"type": "slack", "url_file": str(secret)}, http).send(notice())


async def test_a_broken_user_template_still_sends(tmp_path: Path) -> None:
    """A template that fails on these values is replaced by ours."""
    (tmp_path / "slack.j2").write_text("{{ text < 3 }}")
    secret = tmp_path / "url"
    async with aiohttp.ClientSession() as http, running(SlackFake(), SLACK_PATH) as fake:
        secret.write_text(fake.url)
        settings = {"type": "slack", "url_file": str(secret)}
        await open_channel(settings, http, templates=Templates.load(tmp_path)).send(notice())
    assert "failure rate" in fake.received[0]["blocks"][1]["text"]["text"]
