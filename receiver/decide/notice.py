"""What a notifier is given, what it returns, and how it fails."""

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
    """The event that a notice announces. A policy's `events` lists the events that its `notify` action announces."""

    OPENED = "opened"
    FROZEN = "frozen"
    FREEZE_FAILED = "freeze_failed"
    UNFREEZE_FAILED = "unfreeze_failed"
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
    FEATURE_FLAG_SET = "feature_flag_set"
    FEATURE_FLAG_BACK = "feature_flag_back"
    FEATURE_FLAG_KEPT = "feature_flag_kept"
    FEATURE_FLAG_FAILED = "feature_flag_failed"
    ESCALATION = "escalation"
    STATUS = "status"
    ACKNOWLEDGED = "acknowledged"
    DEAD_LETTER = "dead_letter"
    CANARY_STARTED = "canary_started"
    CANARY_REFUSED = "canary_refused"
    CANARY_SHIFTED = "canary_shifted"
    CANARY_HELD = "canary_held"
    CANARY_RESUMED = "canary_resumed"
    CANARY_APPROVAL = "canary_approval"
    CANARY_APPROVED = "canary_approved"
    CANARY_PROMOTED = "canary_promoted"
    CANARY_ABORTED = "canary_aborted"
    CANARY_ROLLED_BACK = "canary_rolled_back"
    CANARY_ROLLBACK_FAILED = "canary_rollback_failed"
    CANARY_SUPERSEDED = "canary_superseded"
    CANARY_SILENT = "canary_silent"
    CANARY_DONE = "canary_done"


CLOSING_EVENTS = frozenset(
    {
        Event.UNFROZEN,
        Event.RESOLVED,
        Event.CANARY_RESUMED,
        Event.CANARY_ROLLED_BACK,
        Event.CANARY_SUPERSEDED,
        Event.CANARY_DONE,
    }
)
"""Events after which nobody needs to act on the incident any more."""


class Notice(Struct, frozen=True, kw_only=True):
    """One message to one channel. Texts may come from labels, so every notifier treats them as hostile.

    `key` names this notice for ever; a notifier that can deduplicate uses the key. `incident` is shared by all notices
    of one incident (PagerDuty's dedup_key contains the incident). `url` is the page of the incident and `service_url`
    the page of the service: both begin with the receiver's public_url, or are empty. `repeat` says that the channel may
    have got this notice before, because the receiver was killed between send and commit. `facts` is for templates,
    beside the other fields: alert, reason, unfreeze_when, release, spec and others.
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
    service_url: str = ""
    facts: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


class Receipt(Struct, frozen=True, kw_only=True):
    """Proof of a delivery: the other side's answer without secrets, fit for the journal.

    `thread` is what the notifier needs to find its message again, for later notices of the same incident.
    """

    channel: str
    answer: str
    thread: str = ""


class NotifyFailure(Exception):  # noqa: N818 - a failure of the other side, not an error of ours
    """A notice was not delivered. `reason` holds no secret and no control character."""

    kind: Kind

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TemporaryFailure(NotifyFailure):
    """Another attempt may succeed."""

    kind = Kind.TEMPORARY

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class RateLimited(TemporaryFailure):
    """The other side asks the sender to wait. `retry_after_s` is the time that it named, None if it named none."""

    kind = Kind.RATE_LIMITED


class PermanentFailure(NotifyFailure):
    """No further attempt can succeed: the other side refuses the settings or the notice itself."""

    kind = Kind.PERMANENT


class Notifier(Protocol):
    """Delivers notices to one channel."""

    async def send(self, notice: Notice) -> Receipt:
        """Deliver within the channel's timeout.

        Raises TemporaryFailure (RateLimited among them) or PermanentFailure, and no other exception.
        """
        ...
