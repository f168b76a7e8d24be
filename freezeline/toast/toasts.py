"""Turns notices of the stream into toasts: which are shown, which share a toast, and which links may open. Pure."""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, field

from receiver.decide.notice import TEXT_MAX, TITLE_MAX
from receiver.plaintext import plain

COLLAPSE_AFTER = timedelta(minutes=10)
URL_MAX = 2000
NAMED_MAX = 3
_NEEDED = ("seq", "at", "service", "severity", "title", "text")


class BadNoticeError(ValueError):
    """A `notice` event that breaks the format of the event stream."""


class StreamNotice(Struct, frozen=True, kw_only=True):
    """One notice of the stream, with harmless and short texts."""

    seq: int
    at: datetime
    service: str
    severity: str
    title: str
    text: str
    url: str


class Toast(Struct, frozen=True, kw_only=True):
    """One toast. `seq` is the last notice that the toast covers; `url` is "" if nothing may open."""

    seq: int
    at: datetime
    severity: str
    title: str
    text: str
    url: str


def parse(data: str) -> StreamNotice:
    """Read the data of a `notice` event. Raises BadNoticeError."""
    try:
        raw: Any = json.loads(data)
    except json.JSONDecodeError as error:
        raise BadNoticeError(f"the notice is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise BadNoticeError("the notice is not a JSON object")
    missing = [key for key in _NEEDED if key not in raw]
    if missing:
        raise BadNoticeError(f"the notice lacks {', '.join(missing)}")
    try:
        at = datetime.fromisoformat(str(raw["at"]))
    except ValueError as error:
        raise BadNoticeError(f"`at` is not a time: {raw['at']!r:.40}") from error
    if at.tzinfo is None or not isinstance(raw["seq"], int):
        raise BadNoticeError("`at` needs a time zone, and `seq` a whole number")
    return StreamNotice(
        seq=raw["seq"],
        at=at,
        service=plain(str(raw["service"]), TITLE_MAX),
        severity=plain(str(raw["severity"]), TITLE_MAX),
        title=plain(str(raw["title"]), TITLE_MAX),
        text=plain(str(raw["text"]), TEXT_MAX),
        url=plain(str(raw.get("url") or ""), URL_MAX),
    )


class Collapser(Struct, kw_only=True):
    """Decides which notices get a toast of their own, and which old notices share one."""

    public_url: str
    _old: list[StreamNotice] = field(default_factory=list)

    def add(self, notice: StreamNotice, now: datetime) -> list[Toast]:
        """Add the next notice, and return the toasts to show now. Old notices wait for `flush` or a fresh notice."""
        if now - notice.at > COLLAPSE_AFTER:
            self._old.append(notice)
            return []
        return [*self.flush(), _single(notice, self.public_url)]

    @property
    def waiting(self) -> bool:
        """Whether `flush` would show something."""
        return bool(self._old)

    def flush(self) -> list[Toast]:
        """Show the waiting notices as one toast."""
        old, self._old = self._old, []
        if not old:
            return []
        return [_collapsed(old, self.public_url)] if len(old) > 1 else [_single(old[0], self.public_url)]


def may_open(url: str, public_url: str) -> bool:
    """Whether `url` lies under the receiver's own `public_url`: same scheme, host and port, path below it."""
    if not url or not url.isprintable() or "\\" in url or " " in url:
        return False
    try:
        ours, theirs = urlsplit(public_url), urlsplit(url)
        same = (ours.scheme, ours.hostname, _port(ours.scheme, ours.port)) == (
            theirs.scheme,
            theirs.hostname,
            _port(theirs.scheme, theirs.port),
        )
    except ValueError:
        return False
    base = ours.path.rstrip("/")
    below = theirs.path.rstrip("/") == base or theirs.path.startswith(f"{base}/")
    climbs = any(part in {".", ".."} for part in theirs.path.replace("%2e", ".").replace("%2E", ".").split("/"))
    plain_host = theirs.username is None and theirs.scheme in {"http", "https"}
    return same and below and plain_host and not climbs


def missed(seq: int, at: datetime, public_url: str) -> Toast:
    """The toast for notices that the stream has lost."""
    return Toast(
        seq=seq,
        at=at,
        severity="warning",
        title="Freezeline: notices were missed",
        text="This desktop was away longer than the receiver keeps notices. The receiver's page shows the state now.",
        url=public_url,
    )


def _single(notice: StreamNotice, public_url: str) -> Toast:
    return Toast(
        seq=notice.seq,
        at=notice.at,
        severity=notice.severity,
        title=notice.title,
        text=notice.text,
        url=notice.url if may_open(notice.url, public_url) else "",
    )


def _collapsed(old: Sequence[StreamNotice], public_url: str) -> Toast:
    last = old[-1]
    titles = list(dict.fromkeys(notice.title for notice in reversed(old)))
    more = f"; and {len(titles) - NAMED_MAX} more" if len(titles) > NAMED_MAX else ""
    worst = "critical" if any(notice.severity == "critical" for notice in old) else last.severity
    return Toast(
        seq=last.seq,
        at=last.at,
        severity=worst,
        title=plain(f"{len(old)} notices while you were away", TITLE_MAX),
        text=plain("; ".join(titles[:NAMED_MAX]) + more, TEXT_MAX),
        url=public_url,
    )


def _port(scheme: str, port: int | None) -> int | None:
    return port if port is not None else {"http": 80, "https": 443}.get(scheme)
