"""The Slack channel: an incoming webhook. Slack cannot deduplicate, so the title says if a notice may be a repeat."""

from typing import Any, Self

from msgspec import Struct

from receiver.decide.notice import TITLE_MAX, Notice, Notifier, Receipt
from receiver.notify.channel import Channel, Fields, Tools
from receiver.notify.post import post_json
from receiver.notify.secret import SecretFile
from receiver.plaintext import plain
from receiver.templates.escape import slack_link, slack_text

SECTION_MAX = 3000


class SlackChannel(Channel, frozen=True, kw_only=True):
    """`url_file` holds the webhook's URL, which is the secret."""

    url: SecretFile

    @classmethod
    def parse(cls, fields: Fields) -> Self:
        """Read `url_file` and `timeout_s`."""
        return cls(
            name=fields.name,
            timeout_s=fields.timeout(),
            url=fields.secret("url_file", example="/etc/freezeline/slack-url"),
        )

    def notifier(self, tools: Tools) -> Notifier:
        """Give the notifier."""
        return SlackNotifier(self, tools)


class SlackNotifier(Struct, frozen=True):
    """Posts one message per notice."""

    channel: SlackChannel
    tools: Tools

    async def send(self, notice: Notice) -> Receipt:
        """Post the message."""
        url = self.channel.url.read()
        answer = await post_json(
            self.tools.http,
            url,
            message(notice, self.tools.templates.render("slack", notice)),
            timeout_s=self.channel.timeout_s,
            secrets=(url,),
            now=self.tools.now,
        )
        return Receipt(channel=self.channel.name, answer=answer)


def message(notice: Notice, text: str) -> dict[str, Any]:
    """Slack's payload. `text` is mrkdwn with escaped variables; nothing else in the payload may mention or link.

    Push messages of Slack show the `text` at the top, so this text is the plain title.
    """
    title = plain(notice.title, TITLE_MAX)
    head = f"(repeat) {title}" if notice.repeat else title
    link = f"\n{slack_link(notice.url, 'Open')}" if notice.url else ""
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": head, "emoji": False}},
        {
            "type": "section",
            "text": {"type": "mrkdwn", "text": text[: SECTION_MAX - len(link)] + link, "verbatim": True},
        },
    ]
    return {
        "text": slack_text(head),
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": blocks,
    }
