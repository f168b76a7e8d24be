"""Puts a notice on the event stream: one row of the journal per key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from receiver.decide.model import Decision, stamp_ms
from receiver.decide.notice import Notice
from receiver.journal import Journal


def publisher(journal: Journal) -> Callable[[Notice], Awaitable[None]]:
    """Give the function that puts a notice on the stream and returns when the notice is durable."""

    async def publish(notice: Notice) -> None:
        episode = notice.facts.get("episode", "")
        body = {
            "at": stamp_ms(notice.at),
            "episode": episode,
            "service": notice.service,
            "severity": notice.severity,
            "event": notice.event.value,
            "title": notice.title,
            "text": notice.text,
            "url": notice.url,
        }
        sentence = f"On the event stream: {notice.title}"
        decision = Decision(kind="notice", sentence=sentence, episode=episode, trace_id=notice.trace_id)
        await journal.write(lambda tx: tx.publish(notice.key, body, decision))

    return publish
