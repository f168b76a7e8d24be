"""The family of notifiers: one file per kind of channel, and the registry `NOTIFIERS` in this file.

`parse_channels` reads `channels:` of receiver.yaml. `build` makes a channel's notifier. A notifier's `send` returns a
Receipt, or raises TemporaryFailure or PermanentFailure; `receiver.decide.retry` says when to try again. This wing may
import `templates`, `decide` and `plaintext`. Begin to read with `channel`, then with `slack`.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

import aiohttp
from msgspec import Struct

from receiver.decide.notice import (
    CLOSING_EVENTS,
    Event,
    Notice,
    Notifier,
    NotifyFailure,
    PermanentFailure,
    RateLimited,
    Receipt,
    TemporaryFailure,
)
from receiver.notify.apprise import AppriseChannel
from receiver.notify.channel import Channel, ChannelProblem, Fields, Tools
from receiver.notify.email import EmailChannel
from receiver.notify.log import LogChannel
from receiver.notify.pagerduty import PagerDutyChannel
from receiver.notify.slack import SlackChannel
from receiver.notify.slack_bot import SlackBotChannel
from receiver.notify.toast import ToastChannel
from receiver.templates import Templates

__all__ = [
    "CLOSING_EVENTS",
    "LOCAL",
    "NOTIFIERS",
    "Channel",
    "ChannelProblem",
    "Event",
    "Notice",
    "Notifier",
    "NotifyFailure",
    "ParsedChannels",
    "PermanentFailure",
    "RateLimited",
    "Receipt",
    "TemporaryFailure",
    "build",
    "parse_channels",
]

NOTIFIERS: dict[str, type[Channel]] = {
    "apprise": AppriseChannel,
    "email": EmailChannel,
    "log": LogChannel,
    "pagerduty": PagerDutyChannel,
    "slack": SlackChannel,
    "slack-bot": SlackBotChannel,
    "toast": ToastChannel,
}

LOCAL = (LogChannel, ToastChannel)
"""Channels of this machine, which need no network."""


class ParsedChannels(Struct, frozen=True, kw_only=True):
    """The sound channels by name, and the problems of the others."""

    channels: Mapping[str, Channel]
    problems: tuple[ChannelProblem, ...]


def parse_channels(raw: Any) -> ParsedChannels:
    """Read the value of `channels:` as YAML gave it."""
    if not isinstance(raw, Mapping):
        problem = ChannelProblem(
            path=(),
            message="channels must be a mapping from names to settings",
            hint="write `channels: {log: {type: log}}`",
        )
        return ParsedChannels(channels={}, problems=(problem,))
    channels: dict[str, Channel] = {}
    problems: list[ChannelProblem] = []
    for name, settings in raw.items():
        channel, found = _parse_channel(str(name), settings)
        problems.extend(found)
        if channel is not None and not found:
            channels[channel.name] = channel
    return ParsedChannels(channels=channels, problems=tuple(problems))


def build(
    channel: Channel,
    *,
    http: aiohttp.ClientSession,
    templates: Templates,
    publish: Callable[[Notice], Awaitable[None]],
    emit: Callable[[Mapping[str, str | bool]], None],
    recall: Callable[[Notice], Awaitable[str]],
    now: Callable[[], datetime],
) -> Notifier:
    """Make the notifier of a channel. Opens nothing; the caller closes `http`.

    `publish` puts a notice on the event stream, which toasts follow, and returns when the notice is durable. `emit`
    writes one record to the log. `recall` gives the `thread` of the newest receipt of the notice's channel and
    incident. `now` gives the aware current time, because a Retry-After may be a date.
    """
    return channel.notifier(Tools(http=http, templates=templates, publish=publish, emit=emit, recall=recall, now=now))


def _parse_channel(name: str, settings: Any) -> tuple[Channel | None, list[ChannelProblem]]:
    kinds = ", ".join(sorted(NOTIFIERS))
    if not isinstance(settings, Mapping):
        hint = f"write `{name}: {{type: log}}`"
        return None, [ChannelProblem(path=(name,), message="a channel must be a mapping with a type", hint=hint)]
    kind = settings.get("type")
    member = NOTIFIERS.get(kind) if isinstance(kind, str) else None
    if member is None:
        message = "type is missing" if kind is None else f"unknown type {kind}"
        return None, [ChannelProblem(path=(name, "type"), message=message, hint=f"use one of: {kinds}")]
    fields = Fields(name=name, raw=settings)
    channel = member.parse(fields)
    fields.finish()
    return channel, fields.problems
