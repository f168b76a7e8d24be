"""What a notifier is given, what it gives back, and how it fails."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Protocol

from msgspec import Struct, field

from receiver.decide.retry import Kind

TITLE_MAX = 64
TEXT_MAX = 200


class Event(StrEnum):
    """What happened. A policy's `events` lists which of them its `notify` action announces."""

    OPENED = "opened"
    FROZEN = "frozen"
    FREEZE_FAILED = "freeze_failed"
    RENEWED = "renewed"
    UNFROZEN = "unfrozen"
    RESOLVED = "resolved"
    EXPIRED = "expired"
    FLAG_RESTORED = "flag_restored"
    ROLLBACK_STARTED = "rollback_started"
    ROLLBACK_DONE = "rollback_done"
    ROLLBACK_FAILED = "rollback_failed"
    ROLLBACK_SKIPPED = "rollback_skipped"
    ROLLBACK_CANCELLED = "rollback_cancelled"
    ROLLBACK_UNDONE = "rollback_undone"
    ESCALATION = "escalation"
    STATUS = "status"
    ACKNOWLEDGED = "acknowledged"
    DEAD_LETTER = "dead_letter"


CLOSING_EVENTS = frozenset({Event.UNFROZEN, Event.RESOLVED})
"""Events after which nobody needs to act on the incident any more."""


class Notice(Struct, frozen=True, kw_only=True):
    """One thing to tell to one channel. Texts may come from labels: every notifier treats them as hostile.

    `key` names this notice, for ever: a notifier which can, deduplicates by it. `incident` is shared by all
    notices of one incident (PagerDuty's dedup_key is made of it). `url` lies under the receiver's own
    public_url, or is empty. `repeat` says that this notice may have been sent before (the receiver was killed
    between send and commit). `facts` is what templates may use beside the other fields, such as alert,
    reason, unfreeze_when, release, spec.
    """

    key: str
    incident: str
    channel: str
    service: str
    severity: str
    event: Event
    title: str
    text: str
    url: str
    at: datetime
    trace_id: str
    request_id: str
    repeat: bool = False
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Receipt(Struct, frozen=True, kw_only=True):
    """Proof of a delivery: what the other side said, without secrets, fit for the journal."""

    channel: str
    answer: str


class NotifyFailure(Exception):  # noqa: N818 - a failure of the other side, not an error of ours
    """A notice that was not delivered. `reason` holds no secret and no control character."""

    kind: Kind

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TemporaryFailure(NotifyFailure):
    """Trying again may help."""

    kind = Kind.TEMPORARY

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class RateLimited(TemporaryFailure):
    """The other side asks for patience; `retry_after_s` is what it said, None where it did not say."""

    kind = Kind.RATE_LIMITED


class PermanentFailure(NotifyFailure):
    """Trying again cannot help: the settings or the notice itself are refused."""

    kind = Kind.PERMANENT


class Notifier(Protocol):
    """One channel."""

    async def send(self, notice: Notice) -> Receipt:
        """Deliver within the channel's timeout.

        Raises TemporaryFailure (RateLimited among them) or PermanentFailure, nothing else.
        """
        ...
