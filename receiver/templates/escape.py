"""Escaping by channel: how a variable's text is made harmless before the text goes into a message."""

import re

from receiver.plaintext import plain

VALUE_MAX = 2000
# Some Slack workspaces turn these words into mentions; an invisible blank prevents a mention.
_MENTION = re.compile(r"@(?=here|channel|everyone)", re.IGNORECASE)
_LINK = re.compile(r"(?<=[A-Za-z])://")
_BEGINNING = re.compile(r"<|@|\](?=\()|:(?=//)|www\.(?=\S)", re.IGNORECASE)
_ZERO_WIDTH_SPACE = "\u200b"


def line(text: str) -> str:
    """One inert line of plain text."""
    return plain(text, VALUE_MAX)


def inert(text: str) -> str:
    """Text that is no tag, mention or link, whether a service reads plain text, Markdown or HTML.

    An invisible blank stands after each character that could begin one.
    """
    return _BEGINNING.sub(lambda found: found.group() + _ZERO_WIDTH_SPACE, line(text))


def slack_text(text: str) -> str:
    """Inert mrkdwn: no mention, no link. See https://docs.slack.dev/messaging/formatting-message-text."""
    escaped = line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    unlinked = _LINK.sub(f":{_ZERO_WIDTH_SPACE}//", escaped)
    return _MENTION.sub(f"@{_ZERO_WIDTH_SPACE}", unlinked)


def slack_link(url: str, label: str) -> str:
    """A mrkdwn link. `url` is the receiver's own; characters that could end the link are encoded."""
    encoded = line(url).replace("|", "%7C").replace("<", "%3C").replace(">", "%3E").replace(" ", "%20")
    return f"<{encoded.replace('&', '&amp;')}|{slack_text(label)}>"
