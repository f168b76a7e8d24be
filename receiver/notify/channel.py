"""Settings that all channels of receiver.yaml share, and the tools that notifiers work with."""

import difflib
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from msgspec import Struct, field

from receiver.decide.notice import Notice, Notifier
from receiver.notify.secret import SecretFile
from receiver.templates import Templates

TIMEOUT_S = 10.0
TIMEOUT_MAX_S = 60.0
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class Tools(Struct, frozen=True, kw_only=True):
    """Tools for notifiers. `publish` puts a notice on the event stream; `emit` writes a log record.

    `recall` gives the newest `thread` of the channel's receipts for the notice's incident; "" if there is none.
    """

    http: aiohttp.ClientSession
    templates: Templates
    publish: Callable[[Notice], Awaitable[None]]
    emit: Callable[[Mapping[str, str | bool]], None]
    recall: Callable[[Notice], Awaitable[str]]
    now: Callable[[], datetime]


class Channel(Struct, frozen=True, kw_only=True):
    """Settings of one channel. `timeout_s` limits one attempt from connect to answer."""

    name: str
    timeout_s: float

    @classmethod
    def parse(cls, fields: "Fields") -> Self:
        """Read the settings. Problems go into `fields`; after a problem the caller drops the result."""
        raise NotImplementedError

    def notifier(self, tools: Tools) -> Notifier:
        """Give this channel's notifier. Opens nothing."""
        raise NotImplementedError


class ChannelProblem(Struct, frozen=True, kw_only=True):
    """One problem in `channels:`. `path` is the channel's name, then the key, if the problem has one."""

    path: tuple[str, ...]
    message: str
    hint: str


class Fields(Struct, frozen=True, kw_only=True):
    """One channel's mapping while a parser reads it. Getters note a problem and return an empty stand-in."""

    name: str
    raw: Mapping[Any, Any]
    problems: list[ChannelProblem] = field(default_factory=list)
    known: set[str] = field(default_factory=lambda: {"type"})

    def note(self, key: str, message: str, hint: str) -> None:
        """Record a problem with `key`."""
        self.problems.append(ChannelProblem(path=(self.name, key), message=message, hint=hint))

    def text(self, key: str, *, example: str, default: str | None = None) -> str:
        """One line of printable text, required unless there is a default."""
        self.known.add(key)
        value = self.raw.get(key, default)
        if isinstance(value, str) and value and value.isprintable():
            return value
        what = "is missing" if key not in self.raw else "must be one line of text"
        self.note(key, f"{key} {what}", f"write `{key}: {example}`")
        return ""

    def texts(self, key: str, *, example: str) -> tuple[str, ...]:
        """One line of text or a list of such lines."""
        self.known.add(key)
        value = self.raw.get(key)
        values = value if isinstance(value, list) else [value]
        if values and all(isinstance(one, str) and one and one.isprintable() for one in values):
            return tuple(values)
        what = "is missing" if key not in self.raw else "must be text or a list of texts"
        self.note(key, f"{key} {what}", f"write `{key}: {example}`")
        return ()

    def secret(self, key: str, *, example: str) -> SecretFile:
        """The absolute path of a file that holds a secret. The file is read each time the secret is used."""
        path = Path(self.text(key, example=example))
        if str(path) != "." and not path.is_absolute():
            self.note(key, f"{key} must be an absolute path", f"write `{key}: {example}`")
        return SecretFile(path=path)

    def timeout(self) -> float:
        """`timeout_s` of one attempt, in seconds."""
        self.known.add("timeout_s")
        value = self.raw.get("timeout_s", TIMEOUT_S)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= TIMEOUT_MAX_S:
            return float(value)
        self.note(
            "timeout_s",
            f"timeout_s must be above 0 and at most {TIMEOUT_MAX_S:g}",
            "write seconds, such as `timeout_s: 10`",
        )
        return TIMEOUT_S

    def finish(self) -> None:
        """Note every key that no getter asked for."""
        for key in self.raw:
            if key in self.known:
                continue
            near = difflib.get_close_matches(str(key), sorted(self.known), n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"use one of: {', '.join(sorted(self.known))}"
            self.note(str(key), f"unknown key {key}", hint)


def unsafe_url(url: str) -> str | None:
    """Say why notifiers must not call a URL. None for HTTPS, and for plain HTTP to a loopback address."""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return "is not a URL"
    if not host or parts.scheme not in {"http", "https"}:
        return "is not an HTTP URL"
    if parts.scheme == "http" and host not in LOOPBACK:
        return "must begin with https:// (plain HTTP is allowed only to this machine)"
    return None
