"""What the receiver knows and decides: alerts, episodes, freeze reasons, actions. Plain values, no I/O.

Times are aware and in UTC. Identifiers sort by the time of their making.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType

import msgspec
from msgspec import Struct, field

EMPTY: Mapping[str, str] = MappingProxyType({})

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id(now: datetime) -> str:
    """An identifier as ULID writes it: 48 bits of milliseconds, 80 random bits, Crockford base 32."""
    number = (int(now.timestamp() * 1000) << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))


def stamp(at: datetime) -> str:
    """The journal's form of a time: UTC, microseconds, fixed width, so that texts sort as times do."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return at.isoformat(timespec="microseconds")[:-6] + "Z"


def stamp_ms(at: datetime) -> str:
    """As `stamp` with milliseconds, for people and for the flag."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_stamp(text: str) -> datetime:
    """Undo `stamp`."""
    return datetime.fromisoformat(text)


class AlertStatus(StrEnum):
    """What Alertmanager says of an alert."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of a delivery. `ends_at` is None while it fires; both times are the sender's clock."""

    fingerprint: str
    status: AlertStatus
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None

    @property
    def name(self) -> str:
        """`alertname`, or "" where there is none."""
        return self.labels.get("alertname", "")


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Identifiers of the request that caused something."""

    request_id: str = ""
    trace_id: str = ""


NO_TRACE = Trace()


class Seen(Struct, frozen=True, kw_only=True):
    """The last state of an alert (`alert_seen`). `ends_at` is the end of its last resolve.

    `unconfirmed_since` is set while a firing that may be stale waits for Alertmanager's word.
    """

    fingerprint: str
    status: AlertStatus
    starts_at: datetime
    ends_at: datetime | None
    last_at: datetime
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    unconfirmed_since: datetime | None = None

    def as_firing(self) -> Alert:
        """The alert in its last state, firing."""
        return Alert(
            fingerprint=self.fingerprint,
            status=AlertStatus.FIRING,
            labels=self.labels,
            annotations=self.annotations,
            starts_at=self.starts_at,
            ends_at=None,
        )


class EpisodeState(StrEnum):
    """OPEN → RESOLVING → CLOSED; OPEN → EXPIRED; RESOLVING → OPEN. docs/receiver.md draws it."""

    OPEN = "OPEN"
    RESOLVING = "RESOLVING"
    CLOSED = "CLOSED"
    EXPIRED = "EXPIRED"


EPISODE_MOVES: Mapping[EpisodeState, frozenset[EpisodeState]] = {
    EpisodeState.OPEN: frozenset({EpisodeState.RESOLVING, EpisodeState.CLOSED, EpisodeState.EXPIRED}),
    EpisodeState.RESOLVING: frozenset({EpisodeState.OPEN, EpisodeState.CLOSED}),
    EpisodeState.CLOSED: frozenset(),
    EpisodeState.EXPIRED: frozenset(),
}
"""Which state may follow which. OPEN → CLOSED is an operator's own freeze, which no alert resolves."""


class Episode(Struct, frozen=True, kw_only=True):
    """One rule's answer to one alert, from its firing to its end.

    `generation` counts the episodes of the same rule and alert. `incident` is the oldest episode of the service that
    was open when this one opened: its notices tell once. `resolved_at` is the receiver's clock. `spec` names what the
    policy was compiled from.
    """

    id: str
    policy: str
    rule: str
    fingerprint: str
    service: str
    state: EpisodeState
    generation: int
    opened_at: datetime
    policy_sha256: str
    incident: str
    alert: str
    severity: str
    reason: str
    spec: str
    labels: Mapping[str, str]
    starts_at: datetime
    review_at: datetime | None
    resolved_at: datetime | None = None
    closed_at: datetime | None = None
    acked_at: datetime | None = None
    acked_by: str = ""
    trace: Trace = NO_TRACE

    @property
    def live(self) -> bool:
        """Whether it still counts: OPEN or RESOLVING."""
        return self.state in {EpisodeState.OPEN, EpisodeState.RESOLVING}


class FreezeReason(Struct, frozen=True, kw_only=True):
    """One reason for one flag. `written_at` is when the flag that names it was durable on disk."""

    flag: str
    episode: str
    reason: str
    since: datetime
    written_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str = ""
    end_reason: str = ""


class ActionType(StrEnum):
    """What an action does. `unfreeze` takes a flag away and drives legacy freezers off; `undo` follows a rollback."""

    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    ROLLBACK = "rollback"
    UNDO = "undo"
    NOTIFY = "notify"


class ActionState(StrEnum):
    """Where an action stands; ACTION_MOVES says what may follow."""

    PENDING = "PENDING"
    STARTING = "STARTING"
    RUNNING = "RUNNING"
    VERIFYING = "VERIFYING"
    RETRY_WAIT = "RETRY_WAIT"
    TIMED_OUT = "TIMED_OUT"
    INTERRUPTED = "INTERRUPTED"
    SUCCEEDED = "SUCCEEDED"
    DEAD = "DEAD"
    CANCELLED = "CANCELLED"
    SKIPPED = "SKIPPED"


def _moves(*names: str) -> frozenset[ActionState]:
    return frozenset(ActionState(name) for name in names)


ACTION_MOVES: Mapping[ActionState, frozenset[ActionState]] = {
    ActionState.PENDING: _moves("STARTING", "CANCELLED", "SKIPPED"),
    ActionState.STARTING: _moves("RUNNING", "PENDING", "INTERRUPTED"),
    ActionState.RUNNING: _moves(
        "VERIFYING", "RETRY_WAIT", "TIMED_OUT", "CANCELLED", "INTERRUPTED", "SUCCEEDED", "DEAD"
    ),
    ActionState.TIMED_OUT: _moves("VERIFYING", "DEAD"),
    ActionState.INTERRUPTED: _moves("VERIFYING", "DEAD"),
    ActionState.VERIFYING: _moves("SUCCEEDED", "DEAD"),
    ActionState.RETRY_WAIT: _moves("PENDING", "DEAD", "CANCELLED"),
    ActionState.SUCCEEDED: frozenset(),
    ActionState.DEAD: frozenset(),
    ActionState.CANCELLED: frozenset(),
    ActionState.SKIPPED: frozenset(),
}
"""Which state may follow which. Anything else is a bug: the journal refuses it."""

FINAL_STATES = frozenset(state for state, following in ACTION_MOVES.items() if not following)


class ForbiddenMoveError(Exception):
    """An action or episode was asked to go where ACTION_MOVES or EPISODE_MOVES does not lead."""


class Action(Struct, frozen=True, kw_only=True):
    """Something to do, once. `key` makes it unique: a second one with the same key is never stored.

    `name` is the policy's name of the action; for a notice, the channel. `payload` is what it needs beyond the
    episode; `result` what came of it. `fence` counts claims. `attempt` counts starts and goes into the run's
    directory name. `failures` counts failed attempts, for the back-off.
    """

    id: str
    key: str
    episode: str
    service: str
    type: ActionType
    name: str
    created_at: datetime
    state: ActionState = ActionState.PENDING
    attempt: int = 0
    failures: int = 0
    due_at: datetime | None = None
    deadline_at: datetime | None = None
    lease_owner: str = ""
    lease_until: datetime | None = None
    fence: int = 0
    repeat: bool = False
    payload: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    result: Mapping[str, str] = field(default_factory=lambda: EMPTY)
    trace: Trace = NO_TRACE


class Decision(Struct, frozen=True, kw_only=True):
    """One row of the chain and one sentence: what was decided, and why."""

    kind: str
    sentence: str
    delivery: str = ""
    episode: str = ""
    action: str = ""
    trace_id: str = ""


class Recorded(Struct, frozen=True, kw_only=True):
    """A decision as the journal holds it."""

    seq: int
    at: datetime
    decision: Decision
    prev_hash: str
    hash: str


class FlagFile(Struct, frozen=True, kw_only=True):
    """What the receiver last wrote to a flag; `text` is None where the flag was taken away."""

    path: str
    service: str
    generation: int
    text: str | None
    written_at: datetime


class FlagView(Struct, frozen=True, kw_only=True):
    """Everything about one flag: its reasons, what was last written, which of its actions are unfinished."""

    path: str
    seq: int
    freeze_reasons: tuple[FreezeReason, ...]
    episodes: Mapping[str, Episode]
    file: FlagFile | None
    unfinished: tuple[Action, ...] = field(default=())


def seconds(value: float) -> timedelta:
    """A span of time from seconds."""
    return timedelta(seconds=value)
