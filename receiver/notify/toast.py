"""The toast channel: the event stream, which `freezeline toast` on each desktop follows.

Delivered means on the stream and durable; a desktop that is off shows it when it comes back.
"""

from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from receiver.decide.notice import TEXT_MAX, TITLE_MAX, Notice, Notifier, Receipt
from receiver.notify.channel import TIMEOUT_S, Channel, Fields, Tools
from receiver.plaintext import plain


class ToastChannel(Channel, frozen=True, kw_only=True):
    """Settings: none; who may follow the stream is a matter of the `read` token."""

    @classmethod
    def parse(cls, fields: Fields) -> Self:
        """Take the name alone."""
        return cls(name=fields.name, timeout_s=TIMEOUT_S)

    def notifier(self, tools: Tools) -> Notifier:
        """Give the notifier."""
        return ToastNotifier(self, tools)


class ToastNotifier(Struct, frozen=True):
    """Publishes notices, made inert and short, on the event stream."""

    channel: ToastChannel
    tools: Tools

    async def send(self, notice: Notice) -> Receipt:
        """Publish; what `publish` raises (the journal's failures) is the caller's own and passes through."""
        title, _, text = self.tools.templates.render("toast", notice).partition("\n")
        head = f"(repeat) {title}" if notice.repeat else title
        await self.tools.publish(replace(notice, title=plain(head, TITLE_MAX), text=plain(text, TEXT_MAX)))
        return Receipt(channel=self.channel.name, answer="on the event stream")
