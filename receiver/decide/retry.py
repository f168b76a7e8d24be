"""When to try again: pure rules for notices, freezes and legacy commands."""

from enum import StrEnum

from msgspec import Struct

BACKOFF_S = (1.0, 5.0, 25.0, 125.0)
"""Seconds before the first, second, third and fourth retry."""

JITTER_RATIO = 0.2
"""Each delay grows by a random share up to this one, so that many failed attempts do not repeat at the same instant."""

RETRY_AFTER_MAX_S = 3600.0
"""The longest wait that a server may ask for, in seconds."""


class Kind(StrEnum):
    """Why an attempt failed, as far as the next attempt depends on the cause."""

    TEMPORARY = "temporary"
    RATE_LIMITED = "rate-limited"
    PERMANENT = "permanent"


class Retry(Struct, frozen=True, kw_only=True):
    """Try again in `delay_s` seconds."""

    delay_s: float


class DeadLetter(Struct, frozen=True, kw_only=True):
    """Stop trying, for this reason."""

    reason: str


def after_failure(
    kind: Kind,
    *,
    failures: int,
    jitter: float,
    retry_after_s: float | None = None,
    forever: bool = False,
) -> Retry | DeadLetter:
    """Decide what follows the failure number `failures` (1 = the first attempt failed).

    `jitter` is a number in [0, 1) drawn by the caller. `retry_after_s` is the server's wish, which counts if it is
    longer than the back-off. `forever` is for the freeze, which the receiver never gives up: the delay stays at the
    longest.

    Raises ValueError for a `failures` below 1 or a `jitter` outside [0, 1).
    """
    if failures < 1:
        raise ValueError(f"failures must be at least 1, not {failures}")
    if not 0 <= jitter < 1:
        raise ValueError(f"jitter must be in [0, 1), not {jitter}")
    if kind is Kind.PERMANENT and not forever:
        return DeadLetter(reason="permanent failure")
    if failures > len(BACKOFF_S) and not forever:
        return DeadLetter(reason=f"failed {failures} times")
    backoff_s = BACKOFF_S[min(failures, len(BACKOFF_S)) - 1] * (1 + JITTER_RATIO * jitter)
    asked_s = min(retry_after_s or 0.0, RETRY_AFTER_MAX_S)
    return Retry(delay_s=max(backoff_s, asked_s))


def classify_http(status: int) -> Kind | None:
    """The kind of failure of an HTTP status; None for success (2xx)."""
    if 200 <= status < 300:
        return None
    if status == 429:
        return Kind.RATE_LIMITED
    if status >= 500 or status in {408, 425}:
        return Kind.TEMPORARY
    return Kind.PERMANENT


def classify_smtp(code: int) -> Kind | None:
    """The kind of failure of an SMTP reply code (RFC 5321, 4.2.1); None for success (2xx and 3xx)."""
    if 200 <= code < 400:
        return None
    return Kind.TEMPORARY if 400 <= code < 500 else Kind.PERMANENT
