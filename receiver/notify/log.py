"""The log channel: a record in the receiver's own log. This channel cannot fail, so it is the last fallback."""

from typing import Self

from msgspec import Struct

from receiver.decide.notice import TEXT_MAX, TITLE_MAX, Notice, Notifier, Receipt
from receiver.notify.channel import TIMEOUT_S, Channel, Fields, Tools
from receiver.plaintext import plain


class LogChannel(Channel, frozen=True, kw_only=True):
    """Settings: none."""

    @classmethod
    def parse(cls, fields: Fields) -> Self:
        """Take only the name."""
        return cls(name=fields.name, timeout_s=TIMEOUT_S)

    def notifier(self, tools: Tools) -> Notifier:
        """Give the notifier."""
        return LogNotifier(self, tools)


class LogNotifier(Struct, frozen=True):
    """Writes `event=notice` records."""

    channel: LogChannel
    tools: Tools

    async def send(self, notice: Notice) -> Receipt:
        """Write one record."""
        self.tools.emit(
            {
                "channel": self.channel.name,
                "key": plain(notice.key, 200),
                "service": plain(notice.service, TEXT_MAX),
                "severity": plain(notice.severity, TITLE_MAX),
                "event": notice.event.value,
                "title": plain(notice.title, TITLE_MAX),
                "text": plain(notice.text, TEXT_MAX),
                "url": plain(notice.url, 2000),
                "at": notice.at.isoformat(),
                "trace_id": plain(notice.trace_id, TITLE_MAX),
                "request_id": plain(notice.request_id, TITLE_MAX),
                "repeat": notice.repeat,
            }
        )
        return Receipt(channel=self.channel.name, answer="logged")
