"""Times, shares and links as the page writes them. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

from msgspec import Struct

from receiver.decide.escalate import open_for

SHOWN = "%Y-%m-%d %H:%M:%S"


class Instant(Struct, frozen=True, kw_only=True):
    """A time for people: `iso` in UTC, `ago` how long ago."""

    iso: str
    ago: str


def instant(at: datetime, now: datetime) -> Instant:
    """A time as seen now."""
    return Instant(iso=at.astimezone(UTC).strftime(SHOWN), ago=lasted(now - at))


def lasted(span: timedelta) -> str:
    """A time span for people; in seconds below a minute."""
    return f"{max(0, int(span.total_seconds()))} s" if span < timedelta(minutes=1) else open_for(span)


def percent(ratio: float) -> str:
    """A ratio as a percentage of three digits: 0.0564 is `5.64 %`."""
    shown = ratio * 100
    text = f"{shown:.0f}" if abs(shown) >= 100 else f"{shown:.3g}"
    return f"{text} %"


def web_link(text: str) -> str:
    """A link from an alert, if it leads to a web page; else "". Other schemes could run something."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return text if parts.scheme in {"http", "https"} and parts.netloc else ""
