"""The toast channel: the event stream, which `freezeline toast` on each desktop follows.

A notice counts as delivered when it is durable on the stream. A desktop that is off shows the notice later.
"""

from typing import Self

from msgspec import Struct
from msgspec.structs import replace

from receiver.decide.notice import TEXT_MAX, TITLE_MAX, Notice, Notifier, Receipt
from receiver.notify.channel import TIMEOUT_S, Channel, Fields, Tools
from receiver.plaintext import plain


class ToastChannel(Channel, frozen=True, kw_only=True):
    """Settings: none. Whoever has the `read` token may follow the stream."""

    @classmethod
    def parse(cls, fields: Fields) -> Self:
        """Take only the name."""
        return cls(name=fields.name, timeout_s=TIMEOUT_S)

    def notifier(self, tools: Tools) -> Notifier:
        """Give the notifier."""
        return ToastNotifier(self, tools)


class ToastNotifier(Struct, frozen=True):
    """Publishes notices on the event stream, as inert and short texts."""

    channel: ToastChannel
    tools: Tools

    async def send(self, notice: Notice) -> Receipt:
        """Publish. Failures of the journal, which `publish` raises, pass through to the caller."""
        title, _, text = self.tools.templates.render("toast", notice).partition("\n")
        head = f"(repeat) {title}" if notice.repeat else title
        await self.tools.publish(replace(notice, title=plain(head, TITLE_MAX), text=plain(text, TEXT_MAX)))
        return Receipt(channel=self.channel.name, answer="on the event stream")
