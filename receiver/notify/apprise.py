"""The Apprise channel: Microsoft Teams, Discord, ntfy, and every other service that the library Apprise knows.

Apprise runs in a process of its own, one for each notice. A service that hangs, or a plugin that crashes, cannot hold
the receiver, and the receiver does not carry the library in its memory.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import os
import re
import sys
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from msgspec import Struct

from freezeline import extras
from receiver.decide.notice import (
    CLOSING_EVENTS,
    TITLE_MAX,
    Event,
    Notice,
    Notifier,
    PermanentFailure,
    RateLimited,
    Receipt,
    TemporaryFailure,
)
from receiver.decide.retry import Kind, classify_http
from receiver.notify.channel import Channel, Fields, Tools
from receiver.notify.post import retry_after_s
from receiver.notify.secret import SecretFile, redact
from receiver.plaintext import plain
from receiver.templates.escape import inert

PROGRAM = Path(__file__).with_name("apprise_program.py")
START_S = 20.0
"""For loading Apprise, before the service is asked."""

_ENVIRONMENT = ("HOME", "HTTPS_PROXY", "HTTP_PROXY", "LANG", "NO_PROXY", "PATH", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
_SECRET_MIN = 8


class AppriseChannel(Channel, frozen=True, kw_only=True):
    """`url_file` holds Apprise's URL of the service, which is the secret."""

    url: SecretFile

    @classmethod
    def parse(cls, fields: Fields) -> Self:
        """Read `url_file` and `timeout_s`."""
        if importlib.util.find_spec("apprise") is None:
            message = "type apprise needs the library Apprise, which is not installed"
            fields.note("type", message, extras.install("apprise"))
        return cls(
            name=fields.name,
            timeout_s=fields.timeout(),
            url=fields.secret("url_file", example="/etc/freezeline/apprise-url"),
        )

    def notifier(self, tools: Tools) -> Notifier:
        """Give the notifier."""
        return AppriseNotifier(self, tools)


class AppriseNotifier(Struct, frozen=True):
    """Runs `program` once for each notice."""

    channel: AppriseChannel
    tools: Tools
    program: Path = PROGRAM

    async def send(self, notice: Notice) -> Receipt:
        """Send the message."""
        url = self.channel.url.read()
        body = self.tools.templates.render("apprise", notice)
        title = inert(plain(notice.title, TITLE_MAX))
        asked = {
            "url": url,
            "title": f"(repeat) {title}" if notice.repeat else title,
            "body": f"{body}\n{notice.url}" if notice.url else body,
            "type": kind_of(notice),
            "timeout_s": self.channel.timeout_s,
            "wait_s": self.channel.timeout_s + START_S,
        }
        found = await self._run(asked)
        if found["sent"]:
            return Receipt(channel=self.channel.name, answer=redact(f"{found['status'] or 'sent'}", *_secrets(url)))
        raise self._failure(found, url)

    async def _run(self, asked: dict[str, Any]) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            str(self.program),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
        try:
            said, _ = await asyncio.wait_for(process.communicate(json.dumps(asked).encode()), asked["wait_s"] + START_S)
            found = json.loads(said)
        except (TimeoutError, ValueError):
            raise TemporaryFailure("Apprise gave no answer") from None
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        return dict(found)

    def _failure(self, found: dict[str, Any], url: str) -> TemporaryFailure | PermanentFailure:
        """Why the service did not get the message, and whether another attempt can help."""
        status, error = found["status"], str(found["error"])
        if error == "unknown":
            return PermanentFailure(f"{self.channel.url.path}: Apprise knows no such URL")
        if error == "unencrypted":
            return PermanentFailure(f"{self.channel.url.path}: plain HTTP is allowed only to this machine")
        if error == "timeout" or "Timeout" in error:
            return TemporaryFailure(f"no answer within {self.channel.timeout_s:g} s")
        kind = classify_http(status) if status is not None else Kind.TEMPORARY
        reason = redact(f"{status} {error}" if status is not None else error or "not sent", *_secrets(url))
        if kind is Kind.RATE_LIMITED:
            return RateLimited(reason, retry_after_s(found["retry_after"], self.tools.now()))
        return PermanentFailure(reason) if kind is Kind.PERMANENT else TemporaryFailure(reason)


def kind_of(notice: Notice) -> str:
    """Apprise's type of message, which gives the colour and the picture."""
    if notice.event in CLOSING_EVENTS or notice.event is Event.ROLLBACK_DONE:
        return "success"
    if notice.event is Event.ACKNOWLEDGED:
        return "info"
    return {"critical": "failure", "info": "info"}.get(notice.severity, "warning")


def _secrets(url: str) -> tuple[str, ...]:
    """The URL, and all its long pieces: services put tokens anywhere, also where other URLs have the host."""
    pieces = re.split(r"[/@?&=:]+", url)
    return (url, *(one for piece in pieces for one in (piece, unquote(piece)) if len(one) >= _SECRET_MIN))
