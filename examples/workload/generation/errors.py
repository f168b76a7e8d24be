"""What can go wrong with a job, and what is done about each: nineteen types of errors, and a retry policy for each."""

import sqlite3
from enum import StrEnum
from typing import Any

import msgspec
from redis.exceptions import RedisError

DELAYS_S = (1.0, 5.0, 25.0, 125.0)
"""Before the first, second, third and fourth retry."""


class ErrorType(StrEnum):
    """The types; the name is what people, logs and metrics see."""

    NETWORK_UNREACHABLE = "network_unreachable"
    CONNECTION_RESET = "connection_reset"
    TIMEOUT = "timeout"
    PROVIDER_ERROR = "provider_error"
    PROVIDER_OVERLOADED = "provider_overloaded"
    RATE_LIMITED = "rate_limited"
    OWN_RATE_LIMIT = "own_rate_limit"
    STREAM_CUT = "stream_cut"
    INVALID_ANSWER = "invalid_answer"
    UNAUTHORIZED = "unauthorized"
    MODEL_NOT_FOUND = "model_not_found"
    VALIDATION = "validation"
    CONTEXT_TOO_LONG = "context_too_long"
    CONTENT_FILTERED = "content_filtered"
    EMBEDDING_MISMATCH = "embedding_mismatch"
    STORE_BUSY = "store_busy"
    STORE_FULL = "store_full"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


class Then(StrEnum):
    """What follows an error."""

    RETRY = "retry"
    """After 1, 5, 25 and 125 seconds."""
    RETRY_WHEN_TOLD = "retry when told"
    """After what the server says, but not before the usual delay."""
    WAIT = "wait"
    """After what the limiter says; no retry is used up."""
    DEAD_LETTER = "dead letter"
    """At once: another try would fail too."""
    END = "end"
    """The job ends, and is no dead letter."""


class Policy(msgspec.Struct, frozen=True):
    """What follows an error of one type, and after how many retries the job becomes a dead letter."""

    then: Then
    retries: int = len(DELAYS_S)


POLICIES: dict[ErrorType, Policy] = {
    ErrorType.NETWORK_UNREACHABLE: Policy(Then.RETRY),
    ErrorType.CONNECTION_RESET: Policy(Then.RETRY),
    ErrorType.TIMEOUT: Policy(Then.RETRY),
    ErrorType.PROVIDER_ERROR: Policy(Then.RETRY),
    ErrorType.PROVIDER_OVERLOADED: Policy(Then.RETRY_WHEN_TOLD),
    ErrorType.RATE_LIMITED: Policy(Then.RETRY_WHEN_TOLD),
    ErrorType.OWN_RATE_LIMIT: Policy(Then.WAIT),
    ErrorType.STREAM_CUT: Policy(Then.RETRY),
    ErrorType.INVALID_ANSWER: Policy(Then.RETRY, retries=2),
    ErrorType.UNAUTHORIZED: Policy(Then.DEAD_LETTER),
    ErrorType.MODEL_NOT_FOUND: Policy(Then.DEAD_LETTER),
    ErrorType.VALIDATION: Policy(Then.DEAD_LETTER),
    ErrorType.CONTEXT_TOO_LONG: Policy(Then.DEAD_LETTER),
    ErrorType.CONTENT_FILTERED: Policy(Then.DEAD_LETTER),
    ErrorType.EMBEDDING_MISMATCH: Policy(Then.DEAD_LETTER),
    ErrorType.STORE_BUSY: Policy(Then.RETRY),
    ErrorType.STORE_FULL: Policy(Then.RETRY, retries=1),
    ErrorType.CANCELLED: Policy(Then.END),
    ErrorType.UNKNOWN: Policy(Then.RETRY, retries=1),
}


class JobError(Exception):
    """A failure of a known type. `wait_s` is what a server or the limiter asks for."""

    def __init__(self, error_type: ErrorType, text: str, *, wait_s: float = 0.0) -> None:
        super().__init__(text)
        self.type = error_type
        self.wait_s = wait_s


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to a job after a failure: a try again after `after_s`, or an end."""

    then: Then
    after_s: float = 0.0
    counts: bool = True
    """Whether the next try uses up a retry."""


def decide(error: JobError, retries_so_far: int) -> Decision:
    """Apply the policy of the error's type."""
    policy = POLICIES[error.type]
    if policy.then is Then.WAIT:
        return Decision(then=Then.WAIT, after_s=error.wait_s, counts=False)
    if policy.then in {Then.DEAD_LETTER, Then.END}:
        return Decision(then=policy.then)
    if retries_so_far >= policy.retries:
        return Decision(then=Then.DEAD_LETTER)
    delay_s = DELAYS_S[retries_so_far]
    return Decision(then=policy.then, after_s=max(delay_s, error.wait_s) if error.wait_s else delay_s)


_STATUSES = {
    401: ErrorType.UNAUTHORIZED,
    403: ErrorType.UNAUTHORIZED,
    404: ErrorType.MODEL_NOT_FOUND,
    408: ErrorType.TIMEOUT,
    429: ErrorType.RATE_LIMITED,
    503: ErrorType.PROVIDER_OVERLOADED,
    529: ErrorType.PROVIDER_OVERLOADED,
}
_CODES = {"context_length_exceeded": ErrorType.CONTEXT_TOO_LONG, "content_filter": ErrorType.CONTENT_FILTERED}


def classify(error: BaseException) -> JobError:
    """The failure behind an exception of a vendor's client, of Redis or of SQLite."""
    if isinstance(error, JobError):
        return error
    status = getattr(error, "status_code", None)
    if isinstance(status, int) and status >= 400:
        return JobError(_of_status(error, status), f"{type(error).__name__}: {error}", wait_s=_retry_after(error))
    name, text = type(error).__name__, f"{type(error).__name__}: {error}"
    found = ErrorType.UNKNOWN
    if isinstance(error, sqlite3.OperationalError):
        found = ErrorType.STORE_FULL if "full" in text else ErrorType.STORE_BUSY
    elif isinstance(error, TimeoutError) or "Timeout" in name:
        found = ErrorType.TIMEOUT
    elif isinstance(error, ConnectionResetError):
        found = ErrorType.CONNECTION_RESET
    elif isinstance(error, (ConnectionError, RedisError)) or name in {"APIConnectionError", "ConnectError"}:
        found = ErrorType.NETWORK_UNREACHABLE
    elif name in {"RemoteProtocolError", "ReadError"}:
        found = ErrorType.STREAM_CUT
    elif isinstance(error, ValueError) or "Validation" in name:
        found = ErrorType.INVALID_ANSWER
    return JobError(found, text)


def _of_status(error: BaseException, status: int) -> ErrorType:
    if status in _STATUSES:
        return _STATUSES[status]
    if status >= 500:
        return ErrorType.PROVIDER_ERROR
    body: Any = getattr(error, "body", None)
    inner = body.get("error", body) if isinstance(body, dict) else {}
    code = str(inner.get("code") or inner.get("type")) if isinstance(inner, dict) else ""
    return _CODES.get(code, ErrorType.VALIDATION)


def _retry_after(error: BaseException) -> float:
    headers = getattr(getattr(error, "response", None), "headers", {})
    try:
        return max(float(headers.get("retry-after", 0)), 0.0)
    except ValueError:  # a date: the usual delay is used
        return 0.0
