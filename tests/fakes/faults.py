"""What a stand-in does with the next request instead of answering it well."""

from msgspec import Struct


class Answer(Struct, frozen=True, kw_only=True):
    """Answer with `status` (an HTTP status, or an SMTP code) and, over HTTP, Retry-After and a body."""

    status: int
    retry_after: str | None = None
    body: str = "no"


class Hang(Struct, frozen=True):
    """Take the request and never answer."""


class Reset(Struct, frozen=True):
    """Take the request and break the connection."""


Fault = Answer | Hang | Reset
