"""An HTTP stand-in that records every request and fails as told; Slack and PagerDuty are made of it."""

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from msgspec import Struct, field

from tests.fakes.faults import Answer, Fault, Hang, Reset

SLACK_PATH = "/services/T0000FAKE/B0000FAKE/xoxFAKEsecretFAKEsecret"
SLACK_API_PATH = "/api/{method}"
SLACK_TOKEN = "xoxb-FAKE-tokenFAKEtoken"
SLACK_CHANNEL = "C0000FAKE"
ROUTING_KEY = "R0UT1NGKEYFAKE0000000000000000FF"


class HttpFake(Struct, kw_only=True):
    """One running stand-in. `faults` are used up one a request; `received` are the bodies taken well."""

    url: str = ""
    faults: deque[Fault] = field(default_factory=deque)
    received: list[dict[str, Any]] = field(default_factory=list)
    attempts: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Record, then answer or fail."""
        self.attempts += 1
        body = json.loads(await request.text())
        match self.faults.popleft() if self.faults else None:
            case Answer(status=status, retry_after=retry_after, body=text):
                headers = {} if retry_after is None else {"Retry-After": retry_after}
                return web.Response(status=status, text=text, headers=headers)
            case Hang():
                await self.stopping.wait()
            case Reset():
                return _reset(request)
        return self.answer(request, body)

    def answer(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        """Answer a request well; a stand-in with several paths or with headers looks at `request`."""
        return self.take(body)

    def take(self, body: dict[str, Any]) -> web.Response:
        """Accept a body."""
        self.received.append(body)
        return web.Response(text="ok")


class SlackFake(HttpFake, kw_only=True):
    """An incoming webhook: refuses what Slack refuses."""

    def take(self, body: dict[str, Any]) -> web.Response:
        """Accept a message with a text, at most 50 blocks, headers of at most 150 characters."""
        headers = [block["text"]["text"] for block in body.get("blocks", []) if block["type"] == "header"]
        if not body.get("text"):
            return web.Response(status=400, text="no_text")
        if len(body.get("blocks", [])) > 50 or any(len(text) > 150 for text in headers):
            return web.Response(status=400, text="invalid_blocks")
        return HttpFake.take(self, body)


class SlackApiFake(HttpFake, kw_only=True):
    """Slack's Web API, as far as a bot needs it: channels with messages, and a thread below each message.

    `errors` are used up one a request, as `ok: false` with status 200. `messages` has the newest body by timestamp.
    """

    messages: dict[str, dict[str, Any]] = field(default_factory=dict)
    errors: deque[str] = field(default_factory=deque)

    def answer(self, request: web.Request, body: dict[str, Any]) -> web.Response:
        """Do what the method in the path says, for the right token."""
        if request.headers.get("Authorization") != f"Bearer {SLACK_TOKEN}":
            return _slack_says(ok=False, error="invalid_auth")
        if self.errors:
            return _slack_says(ok=False, error=self.errors.popleft())
        if request.match_info["method"] == "chat.update":
            return self._update(body)
        return self._post(body)

    def _post(self, body: dict[str, Any]) -> web.Response:
        if body["channel"] not in {SLACK_CHANNEL, "#payments"}:
            return _slack_says(ok=False, error="channel_not_found")
        if "thread_ts" in body and body["thread_ts"] not in self.messages:
            return _slack_says(ok=False, error="thread_not_found")
        ts = f"1700000000.{len(self.received):06d}"
        self.messages[ts] = body
        self.received.append(body)
        return _slack_says(ok=True, channel=SLACK_CHANNEL, ts=ts, message=body)

    def _update(self, body: dict[str, Any]) -> web.Response:
        # Slack's `chat.update` knows channels by their ID alone.
        if body["channel"] != SLACK_CHANNEL:
            return _slack_says(ok=False, error="channel_not_found")
        if body["ts"] not in self.messages:
            return _slack_says(ok=False, error="message_not_found")
        self.messages[body["ts"]] = body
        return _slack_says(ok=True, channel=SLACK_CHANNEL, ts=body["ts"], message=body)

    def roots(self) -> dict[str, dict[str, Any]]:
        """The messages in the channel, by timestamp, as they read now."""
        return {ts: body for ts, body in self.messages.items() if "thread_ts" not in body}

    def replies(self) -> list[dict[str, Any]]:
        """The messages in threads."""
        return [body for body in self.messages.values() if "thread_ts" in body]


def _slack_says(**answer: Any) -> web.Response:
    return web.json_response(answer)


class PagerDutyFake(HttpFake, kw_only=True):
    """Events API v2: keeps one incident a dedup_key, as PagerDuty does."""

    incidents: dict[str, str] = field(default_factory=dict)

    def take(self, body: dict[str, Any]) -> web.Response:
        """Accept an event for the right key."""
        needed = {"routing_key", "event_action", "dedup_key"}
        if not needed <= body.keys() or body["routing_key"] != ROUTING_KEY or len(body["dedup_key"]) > 255:
            return web.Response(status=400, text=json.dumps({"status": "invalid event"}))
        states = {"trigger": "triggered", "acknowledge": "acknowledged", "resolve": "resolved"}
        self.incidents[body["dedup_key"]] = states[body["event_action"]]
        self.received.append(body)
        return web.Response(status=202, text=json.dumps({"status": "success", "dedup_key": body["dedup_key"]}))


@asynccontextmanager
async def running(fake: HttpFake, path: str) -> AsyncIterator[HttpFake]:
    """Serve a stand-in on a free loopback port; its `url` is set."""
    app = web.Application()
    app.router.add_post(path, fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.url = f"http://{host}:{port}{path}"
    try:
        yield fake
    finally:
        fake.stopping.set()
        await runner.cleanup()


def _reset(request: web.Request) -> web.Response:
    """Break the connection with RST instead of FIN."""
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the client is gone already")
    sock = transport.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
    return web.Response()
