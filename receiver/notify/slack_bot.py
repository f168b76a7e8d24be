"""The Slack channel of a bot: one message per incident, which always says the newest state, with a thread below it.

Two methods of Slack's Web API are enough: `chat.postMessage` and `chat.update`.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any, Self

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from receiver.decide.notice import Event, Notice, Notifier, PermanentFailure, RateLimited, Receipt, TemporaryFailure
from receiver.notify.channel import Channel, Fields, Tools, unsafe_url
from receiver.notify.post import post
from receiver.notify.secret import SecretFile
from receiver.notify.slack import message

API = "https://slack.com/api"
ANSWER_MAX_BYTES = 128 * 1024
"""Slack's answer repeats the message."""

URGENT = frozenset(
    {
        Event.ESCALATION,
        Event.FREEZE_FAILED,
        Event.UNFREEZE_FAILED,
        Event.ROLLBACK_FAILED,
        Event.CANARY_ABORTED,
        Event.CANARY_ROLLBACK_FAILED,
        Event.CANARY_SILENT,
        Event.DEAD_LETTER,
    }
)
"""Events whose replies Slack shows in the channel too, and not in the thread alone."""

_TEMPORARY = frozenset({"fatal_error", "internal_error", "request_timeout", "service_unavailable", "team_added_to_org"})
_LIMITED = frozenset({"message_limit_exceeded", "rate_limited", "ratelimited"})
_GONE = frozenset({"message_not_found", "thread_not_found"})
_FIXED = frozenset({"cant_update_message", "edit_window_closed"})


class SlackBotChannel(Channel, frozen=True, kw_only=True):
    """`token_file` holds the bot's token. `api` is for Slack's other installations and for tests."""

    token: SecretFile
    channel: str
    api: str

    @classmethod
    def parse(cls, fields: Fields) -> Self:
        """Read `token_file`, `channel`, `api` and `timeout_s`."""
        api = fields.text("api", example=API, default=API)
        unsafe = unsafe_url(api) if api else None
        if unsafe is not None:
            fields.note("api", f"api {unsafe}", f"write `api: {API}`")
        return cls(
            name=fields.name,
            timeout_s=fields.timeout(),
            token=fields.secret("token_file", example="/etc/freezeline/slack-token"),
            channel=fields.text("channel", example="C0123456789"),
            api=api.rstrip("/"),
        )

    def notifier(self, tools: Tools) -> Notifier:
        """Give the notifier."""
        return SlackBotNotifier(self, tools)


class Thread(Struct, frozen=True, kw_only=True):
    """The incident's message: Slack's channel and timestamp of it, and the time of the event that it shows."""

    channel: str
    ts: str
    shows: datetime


class _RefusedError(Exception):
    """Slack answered `ok: false`, with one of its error words."""

    def __init__(self, error: str) -> None:
        super().__init__(error)
        self.error = error


class SlackBotNotifier(Struct, frozen=True):
    """Posts the incident's message, then updates the message and answers in its thread.

    The update comes first: an attempt that fails between the two is repeated whole, and an update does no harm twice.
    """

    channel: SlackBotChannel
    tools: Tools

    async def send(self, notice: Notice) -> Receipt:
        """Tell of a notice."""
        token = self.channel.token.read()
        known = await self.tools.recall(notice)
        try:
            thread = msgspec.json.decode(known, type=Thread) if known else None
            if thread is not None:
                thread = await self._update(thread, notice, token)
            if thread is None:
                thread = await self._begin(notice, token)
            else:
                await self._reply(thread, notice, token)
        except _RefusedError as refused:
            raise _failure(refused.error) from None
        return Receipt(channel=self.channel.name, answer="200 ok", thread=msgspec.json.encode(thread).decode())

    async def _begin(self, notice: Notice, token: str) -> Thread:
        payload = {"channel": self.channel.channel, **self._message(notice, buttons=True)}
        answer = await self._call("chat.postMessage", payload, token)
        channel, ts = answer.get("channel"), answer.get("ts")
        if not isinstance(channel, str) or not isinstance(ts, str):
            raise TemporaryFailure("Slack's answer names no message")
        return Thread(channel=channel, ts=ts, shows=notice.at)

    async def _update(self, thread: Thread, notice: Notice, token: str) -> Thread | None:
        """Show the notice in the incident's message, unless the message shows a newer event. None: it was deleted."""
        if notice.at < thread.shows:
            return thread
        # A second update changes nothing, so the message never says that it may be a repeat.
        shown = self._message(replace(notice, repeat=False), buttons=True)
        try:
            await self._call("chat.update", {"channel": thread.channel, "ts": thread.ts, **shown}, token)
        except _RefusedError as refused:
            if refused.error in _GONE:
                return None
            if refused.error not in _FIXED:
                raise
        return replace(thread, shows=notice.at)

    async def _reply(self, thread: Thread, notice: Notice, token: str) -> None:
        payload = {
            "channel": thread.channel,
            "thread_ts": thread.ts,
            "reply_broadcast": notice.event in URGENT,
            **self._message(notice, buttons=False),
        }
        await self._call("chat.postMessage", payload, token)

    def _message(self, notice: Notice, *, buttons: bool) -> dict[str, Any]:
        made = message(replace(notice, url=""), self.tools.templates.render("slack", notice))
        if buttons:
            made["blocks"] += _buttons(notice)
        return made

    async def _call(self, method: str, payload: dict[str, Any], token: str) -> dict[str, Any]:
        answer = await post(
            self.tools.http,
            f"{self.channel.api}/{method}",
            payload,
            headers={"Authorization": f"Bearer {token}"},
            timeout_s=self.channel.timeout_s,
            secrets=(token,),
            now=self.tools.now,
            limit=ANSWER_MAX_BYTES,
        )
        try:
            said = json.loads(answer.body)
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise TemporaryFailure(f"Slack's answer is not JSON: {answer.text}")
        if said.get("ok") is not True:
            raise _RefusedError(str(said.get("error")))
        return said


def _failure(error: str) -> TemporaryFailure | PermanentFailure:
    """What Slack's error word means for the next attempt."""
    known = error if error.replace("_", "").isalnum() and len(error) <= 60 else "an unknown error"
    reason = f"Slack refuses the message: {known}"
    if error in _LIMITED:
        return RateLimited(reason)
    return TemporaryFailure(reason) if error in _TEMPORARY | _GONE else PermanentFailure(reason)


def _buttons(notice: Notice) -> list[dict[str, Any]]:
    """Buttons that open the receiver's own pages. Slack sends the bot nothing."""
    links = [("Open incident", notice.url), ("Open service", notice.service_url)]
    elements = [
        {
            "type": "button",
            "text": {"type": "plain_text", "text": label, "emoji": False},
            "url": url,
            "action_id": label.lower().replace(" ", "-"),
        }
        for label, url in links
        if url
    ]
    return [{"type": "actions", "elements": elements}] if elements else []
