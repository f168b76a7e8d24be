"""What a stand-in does with the next request instead of answering it well."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """Answer with `status` (an HTTP status, or an SMTP code) and, over HTTP, Retry-After and a body."""

    status: int
    retry_after: str | None = None
    body: str = "no"


@dataclass(frozen=True, slots=True)
class Hang:
    """Take the request and never answer."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Take the request and break the connection."""


Fault = Answer | Hang | Reset
