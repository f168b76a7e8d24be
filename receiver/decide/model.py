"""What the receiver knows and decides: alerts, episodes, freeze reasons, actions. Plain values, no I/O.

Times are aware and in UTC. Identifiers sort by the time of their creation.
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
    """The journal's form of a time: UTC, microseconds, fixed width. Such texts sort in the order of the times."""
    if at.tzinfo is not UTC:
        at = at.astimezone(UTC)
    return at.isoformat(timespec="microseconds")[:-6] + "Z"


def stamp_ms(at: datetime) -> str:
    """A time in UTC with milliseconds, for people and for the flag."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_stamp(text: str) -> datetime:
    """Read the text that `stamp` writes."""
    return datetime.fromisoformat(text)


class AlertStatus(StrEnum):
    """An alert's status as Alertmanager sends it."""

    FIRING = "firing"
    RESOLVED = "resolved"


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """One alert of a delivery. `ends_at` is None while the alert fires. Both times come from the sender's clock."""

    fingerprint: str
    status: AlertStatus
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    starts_at: datetime
    ends_at: datetime | None

    @property
    def name(self) -> str:
        """The label `alertname`, or "" if there is none."""
        return self.labels.get("alertname", "")


class Trace(msgspec.Struct, frozen=True, kw_only=True):
    """Identifiers of the request that started an action or episode."""

    request_id: str = ""
    trace_id: str = ""


NO_TRACE = Trace()


class Seen(Struct, frozen=True, kw_only=True):
    """The last news of an alert (`alert_seen`). `ends_at` is the end in the alert's last resolve.

    While a firing that may be stale waits for Alertmanager's answer, `unconfirmed_since` is set.
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
        """The alert as last heard, with the status firing."""
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
"""Which state may follow which. OPEN → CLOSED is an operator's freeze, which no alert resolves."""


class Episode(Struct, frozen=True, kw_only=True):
    """One rule's response to one alert, from firing to the end of the freeze.

    `generation` counts the episodes of the same rule and alert. `incident` names the oldest episode of the service
    that was open at this time and had opened after the last freeze. The receiver tells people once per incident.
    `resolved_at` is the receiver's clock. `spec` names the spec that `freezeline generate` compiled the policy from.
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
        """Whether the episode is still OPEN or RESOLVING."""
        return self.state in {EpisodeState.OPEN, EpisodeState.RESOLVING}


class Incident(Struct, frozen=True, kw_only=True):
    """All episodes of one incident together. `first` is the oldest; `ended_at` is None while one of them is live."""

    first: Episode
    opened_at: datetime
    ended_at: datetime | None
    episodes: int
    live: int
    acked_at: datetime | None
    acked_by: str

    @property
    def service(self) -> str:
        """The service of the incident."""
        return self.first.service


class FreezeReason(Struct, frozen=True, kw_only=True):
    """One reason for one flag. `written_at` is when the flag with this reason was durable on disk."""

    flag: str
    episode: str
    reason: str
    since: datetime
    written_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str = ""
    end_reason: str = ""


class ActionType(StrEnum):
    """The kinds of action. `unfreeze` removes a flag and switches legacy freezers off. `undo` reverses a rollback.

    `switch` sets a feature flag, and `switch_back` gives the feature flag its earlier value.
    """

    FREEZE = "freeze"
    UNFREEZE = "unfreeze"
    ROLLBACK = "rollback"
    UNDO = "undo"
    SWITCH = "switch"
    SWITCH_BACK = "switch_back"
    NOTIFY = "notify"


class ActionState(StrEnum):
    """An action's state. ACTION_MOVES says which state may follow."""

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
"""Which state may follow which. The journal refuses every other move as a bug."""

FINAL_STATES = frozenset(state for state, following in ACTION_MOVES.items() if not following)


class ForbiddenMoveError(Exception):
    """Code asked for a move of an action or episode that ACTION_MOVES or EPISODE_MOVES does not allow."""


class Action(Struct, frozen=True, kw_only=True):
    """One action to do once. The journal never stores a second action with the same `key`.

    `name` is the action's name in the policy; for a notice, the channel's name. `payload` holds what the action needs
    beyond its episode, and `result` how the action ended. `fence` counts claims. `attempt` counts starts and is part of
    the run directory's name. `failures` counts failed attempts for the back-off.
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
    """One row of the hash chain with one sentence: what the receiver decided, and why."""

    kind: str
    sentence: str
    delivery: str = ""
    episode: str = ""
    action: str = ""
    trace_id: str = ""


class Recorded(Struct, frozen=True, kw_only=True):
    """A decision as the journal stores it."""

    seq: int
    at: datetime
    decision: Decision
    prev_hash: str
    hash: str


class FlagFile(Struct, frozen=True, kw_only=True):
    """The text that the receiver last wrote to a flag; None if the receiver removed the flag.

    `legacy_on` says that the legacy freezers were switched on since the flag got its first reason.
    """

    path: str
    service: str
    generation: int
    text: str | None
    written_at: datetime
    legacy_on: bool = False


LISTED_MAX = 20
"""The most reasons that a flag lists, and that people are shown for a service. Beyond these, the number is enough."""


class FlagView(Struct, frozen=True, kw_only=True):
    """What is known about one flag: its reasons in force, its last text, and its unfinished actions.

    `freeze_reasons` are the oldest reasons, at most LISTED_MAX of `count`; `episodes` are the episodes of these.
    `unwritten` are all reasons without which the flag was last written. `rollbacks` are the last rollbacks of the
    flag's service.
    """

    path: str
    seq: int
    freeze_reasons: tuple[FreezeReason, ...]
    count: int
    episodes: Mapping[str, Episode]
    file: FlagFile | None
    unwritten: tuple[FreezeReason, ...] = ()
    unfinished: tuple[Action, ...] = ()
    rollbacks: tuple[Action, ...] = ()


class Waiting(Struct, frozen=True, kw_only=True):
    """Alerts of one stored delivery that wait for their transaction. `at` is when the receiver got the delivery."""

    delivery: int
    ids: tuple[int, ...]
    fingerprints: tuple[str, ...]
    at: datetime
    trace: Trace


def seconds(value: float) -> timedelta:
    """A timedelta of some seconds."""
    return timedelta(seconds=value)
